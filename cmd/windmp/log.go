package main

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"windmp/cmd/windmp/internal/progress"
	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/stage"
)

// logSchema names the lines of --log-format=json.
const logSchema = "windmp/log/v1"

// logFormats are the values of --log-format.
var logFormats = []string{"text", "json"}

// logLevel says what a line is.
type logLevel string

const (
	levelInfo  logLevel = "info"
	levelWarn  logLevel = "warn"
	levelError logLevel = "error"
)

// logLine is a line on standard error. Findings are not among them: they are in
// the report.
type logLine struct {
	// Schema is that of the line.
	Schema string `json:"schema"`
	// Time is RFC 3339, UTC.
	Time    string   `json:"time"`
	Level   logLevel `json:"level"`
	Message string   `json:"message"`
	// Hint is what can be done about it.
	Hint string `json:"hint,omitempty"`
	// Detail is where it was seen: all that the error says.
	Detail string `json:"detail,omitempty"`
	// Stage is the step of the run that failed, if one did.
	Stage string `json:"stage,omitempty"`
	// ExitCode is there in the line of the error that ends the run.
	ExitCode int `json:"exit_code,omitempty"`
}

// logs tells whether standard error is a log for programs.
func (a *app) logs() bool { return a.out.log.Value == "json" }

// say writes a line and its hint to standard error; when that fails, nobody is
// there to be told.
func (a *app) say(line logLine) {
	line.Message, line.Hint, line.Detail = withFlags(line.Message), withFlags(line.Hint), withFlags(line.Detail)
	if a.logs() {
		line.Schema = logSchema
		line.Time = time.Now().UTC().Format(time.RFC3339Nano)
		_ = json.NewEncoder(a.stderr).Encode(line)
		return
	}
	style := screen.Of(a.stderr)
	if !screen.IsTerminal(a.stderr) {
		style.Width = math.MaxInt // a program finds a sentence in one line
	}
	p := screen.NewPage(style)
	p.Say("windmp:", line.Message)
	if line.Hint != "" {
		p.Say("hint:", line.Hint)
	}
	if line.Detail != "" && a.out.verbose {
		p.Say("seen:", line.Detail)
	}
	_, _ = p.WriteTo(a.stderr)
}

// warnCut says on standard error that the file is cut: of commands whose output has no
// room for findings.
func (a *app) warnCut(list []finding.Finding) {
	for _, f := range list {
		if f.ID == finding.Truncated.ID() {
			a.say(logLine{Level: levelWarn, Message: f.Message, Hint: f.Advice})
			return
		}
	}
}

// printError says why the run ends, unless the user knows. A log holds it always.
func (a *app) printError(err error) {
	var printed *printedError
	if err == nil || errors.As(err, &printed) && !a.logs() {
		return
	}
	e := report.OfError(err)
	line := logLine{Level: levelError, Message: e.Message, Hint: e.Hint, Detail: e.Detail, Stage: e.Stage, ExitCode: exitcode.Of(err)}
	a.say(line)
}

// startProgress begins to show progress; nil is for none.
func (a *app) startProgress(quiet bool) func(stage.Progress) {
	mode := a.out.progress.Value
	if mode == "none" || mode == "auto" && (quiet || a.logs() || !screen.IsTerminal(a.stderr)) {
		return nil
	}
	a.progress = progress.New(a.stderr, mode == "json")
	return a.progress.Update
}

// endProgress writes the last line of --progress=json.
func (a *app) endProgress(err error) {
	if a.out.progress.Value != "json" {
		return
	}
	p := a.progress
	if p == nil { // the run ended before it began
		p = progress.New(a.stderr, true)
	}
	code, failed := exitcode.Of(err), ""
	if code != exitcode.Done {
		failed = report.OfError(err).Stage
	}
	p.End(code, failed)
}
