package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/report"
	"windmp/convert/stage"
)

// progressSchema names the lines of --progress=json.
const progressSchema = "windmp/progress/v1"

// progressModes are the values of --progress.
var progressModes = []string{"auto", "bar", "json", "none"}

// lineEvery is the least time between two lines about bytes.
const lineEvery = 500 * time.Millisecond

// The events of progress lines.
const (
	eventStage  = "stage"
	eventBytes  = "bytes"
	eventDone   = "done"
	eventFailed = "failed"
)

// progressLine is a line of --progress=json.
type progressLine struct {
	// Schema is that of the line.
	Schema string `json:"schema"`
	// Event is stage where one begins, bytes now and then and at the end of a
	// stage that counts them, and in the last line done or failed.
	Event string `json:"event"`
	// Stage is the step that runs; in the last line the one that failed.
	Stage string `json:"stage,omitempty"`
	// Done and Total are the stage's bytes, 0 where none are counted.
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// Elapsed is the time since the start, in seconds.
	Elapsed float64 `json:"elapsed"`
	// Rate is bytes in a second, of the stage so far.
	Rate float64 `json:"rate"`
	// ExitCode is that of the process, in the last line.
	ExitCode *int `json:"exit_code,omitempty"`
}

// progress shows how far a run is.
type progress struct {
	w    io.Writer
	json bool

	mu         sync.Mutex
	start      time.Time
	at         stage.Progress
	stageStart time.Time
	stageFrom  int64 // bytes that were done when the stage began
	last       time.Time
	bar        *progressbar.ProgressBar
}

// startProgress begins to show progress; nil is for none.
func (a *app) startProgress(quiet bool) func(stage.Progress) {
	mode := a.out.progress.value
	if mode == "none" || mode == "auto" && (quiet || a.logs() || !screen.IsTerminal(a.stderr)) {
		return nil
	}
	a.progress = newProgress(a.stderr, mode == "json")
	return a.progress.update
}

func newProgress(w io.Writer, json bool) *progress {
	return &progress{w: w, json: json, start: time.Now()}
}

// update is a convert.Options.Progress function.
func (p *progress) update(at stage.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.at
	p.at = at
	if at.Stage != before.Stage || at.Done < before.Done {
		p.stageStart, p.stageFrom, p.last = time.Now(), at.Done, time.Now()
	}
	if !p.json {
		p.drawBar(before.Stage)
		return
	}
	switch {
	case at.Stage != before.Stage:
		p.line(progressLine{Event: eventStage, Stage: string(at.Stage)})
	case at == before:
	case at.Done == at.Total || time.Since(p.last) >= lineEvery:
		p.last = time.Now()
		p.line(progressLine{Event: eventBytes, Stage: string(at.Stage)})
	}
}

// line writes a line with the numbers as they are.
func (p *progress) line(l progressLine) {
	l.Schema = progressSchema
	l.Done, l.Total = p.at.Done, p.at.Total
	l.Elapsed = time.Since(p.start).Seconds()
	if t := time.Since(p.stageStart).Seconds(); l.Done > p.stageFrom && t > 0 {
		l.Rate = float64(l.Done-p.stageFrom) / t
	}
	_ = json.NewEncoder(p.w).Encode(l) // progress is no reason to stop
}

// drawBar draws a stage that counts bytes.
func (p *progress) drawBar(before stage.Stage) {
	if p.at.Stage != before {
		p.removeBar()
	}
	if p.at.Total == 0 {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(p.at.Total,
			progressbar.OptionSetWriter(p.w), progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionSetDescription(string(p.at.Stage)),
			progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
		_ = p.bar.RenderBlank() // a stage of which nothing is done yet; errors as below
	}
	p.bar.ChangeMax64(p.at.Total)
	_ = p.bar.Set64(p.at.Done) // a bar that can't be drawn is no reason to stop
}

func (p *progress) removeBar() {
	if p.bar != nil {
		_ = p.bar.Clear() // as above
		p.bar = nil
	}
}

// clear removes the bar from the terminal.
func (p *progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeBar()
}

// endProgress writes the last line of --progress=json.
func (a *app) endProgress(err error) {
	if a.out.progress.value != "json" {
		return
	}
	p := a.progress
	if p == nil { // the run ended before it began
		p = newProgress(a.stderr, true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := exitCode(err)
	l := progressLine{Event: eventDone, ExitCode: &code}
	if code != exitOK {
		l.Event, l.Stage = eventFailed, report.OfError(err).Stage
	}
	p.line(l)
}
