package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/convert"
	"windmp/convert/report"
	"windmp/convert/stage"
)

// Steps of a run that are not the conversion's.
const (
	stagePrint  stage.Stage = "print"
	stageReport stage.Stage = "report"
)

// outputFlags say where the outcome of a command goes.
type outputFlags struct {
	json     bool
	report   string
	progress choice
	log      choice // of all commands
}

// register adds the flags of a command that has a document.
func (f *outputFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.json, "json", false, "print one JSON document on standard output, on failure too")
	fs.StringVar(&f.report, "report", "", "write the JSON document to `FILE`, on failure too")
	f.progress = newChoice(progressModes)
	fs.Var(&f.progress, "progress", "on standard error: auto (a bar on a terminal), bar, json (a line of JSON for each step), none")
}

// outcome is what a command ends with.
type outcome struct {
	schema string
	err    error
	// told is set when text tells what err is about.
	told bool
	// document makes the document; e is for one whose report has no error.
	document func(h header, e *report.Error) any
	// text prints for people; nil prints nothing.
	text func() error
}

// finish prints the outcome and writes the report. What goes wrong with these is
// part of the error, and of the document as far as it is not written yet.
func (a *app) finish(o outcome) error {
	a.finished = true
	a.progress.clear()
	var late error
	fail := func(in stage.Stage, err error) {
		if err != nil {
			late = errors.Join(late, &stage.Error{Stage: in, Err: err})
		}
	}
	document := func() any {
		e := report.OfError(errors.Join(o.err, late))
		if o.told {
			e = report.OfError(late)
		}
		return o.document(newHeader(o.schema, errors.Join(o.err, late)), e)
	}
	if !a.out.json && o.text != nil {
		fail(stagePrint, o.text())
	}
	fail(stageReport, a.writeReport(document()))
	if a.out.json {
		if err := a.printJSON(document()); err != nil {
			fail(stagePrint, err)
			fail(stageReport, a.writeReport(document()))
		} else {
			o.told = true
			o.err, late = errors.Join(o.err, late), nil
		}
	}
	switch {
	case late != nil:
		return errors.Join(o.err, late)
	case o.told && o.err != nil:
		return &printedError{o.err}
	default:
		return o.err
	}
}

// finishEarly is finish for a run that ended before its command began, for an
// option or argument that makes no sense.
func (a *app) finishEarly(cmd *cobra.Command, args []string, err error) error {
	var usage *stage.UsageError
	if a.finished || !errors.As(err, &usage) {
		return err
	}
	// The parser has not come to what stands behind the mistake.
	if !cmd.Flags().Changed("log-format") && asks(args, "--log-format", "json") {
		a.out.log.value = "json"
	}
	if cmd.Flags().Lookup("json") == nil {
		return err
	}
	a.out.json = a.out.json || asks(args, "--json", "")
	return a.finish(outcome{
		schema: "windmp/" + cmd.Name() + "/v1",
		err:    errors.Join(err, a.checkReport(without(args, "--report")...)),
		document: func(h header, e *report.Error) any {
			return struct {
				header
				Error *report.Error `json:"error,omitempty"`
			}{h, e}
		},
	})
}

// asks tells whether a flag is on a command line, with a value if it has one.
func asks(args []string, flag, value string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == flag && (value == "" || i+1 < len(args) && args[i+1] == value), arg == flag+"="+value:
			return true
		}
	}
	return false
}

// without is a command line without a flag's value that stands alone.
func without(args []string, flag string) (rest []string) {
	for i, arg := range args {
		if i == 0 || args[i-1] != flag {
			rest = append(rest, arg)
		}
	}
	return rest
}

// checkReport refuses, before any work, a report that could not be written or
// must not: the report is never one of others, and replaces nothing but a report.
func (a *app) checkReport(others ...string) error {
	path := a.out.report
	if path == "" {
		return nil
	}
	a.out.report = "" // until it is known to be good
	if path == convert.Stdout {
		return &stage.UsageError{Reason: "--report wants the name of a file", Hint: "--json prints the document on standard output"}
	}
	for _, other := range others {
		if sameFile(path, other) {
			return &stage.UsageError{Reason: "--report and another argument name the same file: " + path, Hint: "name another file for the report"}
		}
	}
	if err := checkReplaced(path); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), reportTemp)
	if err != nil {
		return &stage.Error{Stage: stageReport, Err: err}
	}
	if err := errors.Join(tmp.Close(), os.Remove(tmp.Name())); err != nil {
		return &stage.Error{Stage: stageReport, Err: err}
	}
	a.out.report = path
	return nil
}

// reportTemp names a report that is being written.
const reportTemp = ".*.windmp-report"

// checkReplaced lets nothing be replaced but what begins as a report does.
func checkReplaced(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &stage.Error{Stage: stageReport, Err: err}
	case !st.Mode().IsRegular():
		return &stage.UsageError{Reason: fmt.Sprintf("the report %s is not a regular file", path), Hint: "--json prints the document on standard output"}
	case st.Size() == 0:
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return &stage.Error{Stage: stageReport, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err != nil {
		return &stage.Error{Stage: stageReport, Err: err}
	}
	if first[0] != '{' {
		return &stage.UsageError{Reason: fmt.Sprintf("%s exists and is no report", path), Hint: "name another file for the report"}
	}
	return nil
}

// sameFile tells whether two names mean the same file, there or not.
func sameFile(a, b string) bool {
	sa, errA := os.Stat(a)
	sb, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(sa, sb)
	}
	if errA == nil || errB == nil || filepath.Base(a) != filepath.Base(b) {
		return false
	}
	sa, errA = os.Stat(filepath.Dir(a))
	sb, errB = os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}

// writeReport writes the document to the file of --report, if there is one: all
// of it under its name or nothing. Its mode is 0600: registers, names and, of
// vtop, memory are the guest's.
func (a *app) writeReport(document any) error {
	if a.out.report == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(a.out.report), reportTemp) // mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(encode(tmp, document), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), a.out.report)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
