// Package progress shows on a terminal, or in lines of JSON, how far a run is.
package progress

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"windmp/convert/stage"
)

// Schema names the lines of --progress=json.
const Schema = "windmp/progress/v1"

// Modes are the values of --progress.
var Modes = []string{"auto", "bar", "json", "none"}

// lineEvery is the least time between two lines about bytes.
const lineEvery = 500 * time.Millisecond

// The events of progress lines.
const (
	EventStage  = "stage"
	EventBytes  = "bytes"
	EventDone   = "done"
	EventFailed = "failed"
)

// Line is a line of --progress=json.
type Line struct {
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

// A Shown is what is shown of how far a run is.
type Shown struct {
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

// New begins to show progress on w: as a bar, or as lines of JSON.
func New(w io.Writer, json bool) *Shown {
	return &Shown{w: w, json: json, start: time.Now()}
}

// Update is a convert.Options.Progress function.
func (p *Shown) Update(at stage.Progress) {
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
		p.line(Line{Event: EventStage, Stage: string(at.Stage)})
	case at == before:
	case at.Done == at.Total || time.Since(p.last) >= lineEvery:
		p.last = time.Now()
		p.line(Line{Event: EventBytes, Stage: string(at.Stage)})
	}
}

// line writes a line with the numbers as they are.
func (p *Shown) line(l Line) {
	l.Schema = Schema
	l.Done, l.Total = p.at.Done, p.at.Total
	l.Elapsed = time.Since(p.start).Seconds()
	if t := time.Since(p.stageStart).Seconds(); l.Done > p.stageFrom && t > 0 {
		l.Rate = float64(l.Done-p.stageFrom) / t
	}
	_ = json.NewEncoder(p.w).Encode(l) // progress is no reason to stop
}

// drawBar draws a stage that counts bytes.
func (p *Shown) drawBar(before stage.Stage) {
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

func (p *Shown) removeBar() {
	if p.bar != nil {
		_ = p.bar.Clear() // as above
		p.bar = nil
	}
}

// Clear removes the bar from the terminal.
func (p *Shown) Clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeBar()
}

// End writes the last line of JSON: the code that the process exits with, and the stage
// that failed, if one did.
func (p *Shown) End(exitCode int, failed string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Line{Event: EventDone, ExitCode: &exitCode}
	if exitCode != 0 {
		l.Event, l.Stage = EventFailed, failed
	}
	p.line(l)
}
