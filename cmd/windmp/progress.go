package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"windmp/convert"
)

// lineEvery is how often a line of progress is printed where there is no
// terminal to draw on.
const lineEvery = 10 * time.Second

// progress shows how far the copy is: a bar with rate and remaining time on a
// terminal, else a line now and then.
type progress struct {
	w     io.Writer
	draw  bool
	quiet bool
	bar   *progressbar.ProgressBar
	next  time.Time
}

func (a *app) newProgress(quiet bool) *progress {
	f, ok := a.stderr.(*os.File)
	return &progress{
		w: a.stderr, quiet: quiet, next: time.Now().Add(lineEvery),
		draw: ok && term.IsTerminal(int(f.Fd())),
	}
}

// update is a convert.Options.Progress function.
func (p *progress) update(at convert.Progress) {
	done, total := at.Done, at.Total
	switch {
	case p.quiet || at.Stage != convert.StageWrite:
	case p.draw:
		p.drawBar(done, total)
	case time.Now().After(p.next):
		p.next = time.Now().Add(lineEvery)
		_, _ = fmt.Fprintf(p.w, "windmp: %s of %s\n", ibytes(done), ibytes(total)) // progress is no reason to stop
	}
}

func (p *progress) drawBar(done, total int64) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w), progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(done) // a bar that can't be drawn is no reason to stop
}

// close removes the bar from the terminal.
func (p *progress) close() error {
	if p.bar == nil {
		return nil
	}
	return p.bar.Clear()
}

// ibytes is a size for people, in powers of 1024.
func ibytes[T int64 | uint64](n T) string {
	return humanize.IBytes(uint64(max(n, 0)))
}
