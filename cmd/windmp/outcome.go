package main

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/heading"
	"windmp/cmd/windmp/internal/progress"
	"windmp/cmd/windmp/internal/reportfile"
	"windmp/convert"
	"windmp/convert/cause"
	"windmp/convert/exitcode"
	"windmp/convert/htmlreport"
	"windmp/convert/report"
	"windmp/convert/stage"
)

// stagePrint is the step of a run that is the command's alone.
const stagePrint stage.Stage = "print"

// outputFlags say where the outcome of a command goes.
type outputFlags struct {
	json     bool
	verbose  bool
	report   string
	pages    bool // the command makes pages
	through  bool // the report goes to a device or a pipe
	progress flagvalue.Choice
	log      flagvalue.Choice // of all commands
}

// register adds the flags of a command that has a document.
func (f *outputFlags) register(fs *pflag.FlagSet) { f.add(fs, "") }

// registerPage is register for a command that makes pages, too.
func (f *outputFlags) registerPage(fs *pflag.FlagSet) {
	f.add(fs, "; a page to look at, if it ends in .html")
}

// add adds the flags; about says more of --report.
func (f *outputFlags) add(fs *pflag.FlagSet, about string) {
	heading.Printing.Put(fs, func(fs *pflag.FlagSet) {
		fs.BoolVar(&f.json, "json", false, "print one JSON document on standard output, on failure too")
		fs.StringVar(&f.report, "report", "", "write the JSON document to `FILE`, on failure too"+about)
	})
	f.registerProgress(fs)
}

// registerProgress adds those of a command without a document, too.
func (f *outputFlags) registerProgress(fs *pflag.FlagSet) {
	f.progress = flagvalue.NewChoice(progress.Modes)
	heading.Printing.Put(fs, func(fs *pflag.FlagSet) {
		fs.BoolVarP(&f.verbose, "verbose", "v", false, "print all that was found and, of what fails, where it was seen")
		fs.Var(&f.progress, "progress", "on standard error: auto (a bar on a terminal), bar, json (a line of JSON for each step), none")
	})
}

// outcome is what a command ends with.
type outcome struct {
	schema string
	err    error
	// told is set when text tells what err is about.
	told bool
	// document makes the document; e is for one whose report has no error.
	document func(h header, e *report.Error) any
	// files is what the document says of each file, for a page; nil of a command that
	// makes none.
	files func() []htmlreport.File
	// text prints for people; nil prints nothing.
	text func() error
}

// prints tells whether there is something to print for people: of a command line that
// makes no sense for the file, nothing but the error.
func (o *outcome) prints() bool {
	return o.text != nil && (o.told || exitcode.Of(o.err) != exitcode.Usage)
}

// finish prints the outcome and writes the report. What goes wrong with these is
// part of the error, and of the document as far as it is not written yet.
func (a *app) finish(o outcome) error {
	a.finished = true
	a.progress.Clear()
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
	if !a.out.json && o.prints() {
		fail(stagePrint, o.text())
	}
	writeReport := func() {
		fail(stage.Report, a.writeReport(func(w io.Writer) error {
			if a.wantsPage() {
				return a.render(w, &o, report.OfError(errors.Join(o.err, late)))
			}
			return encode(w, document())
		}))
	}
	writeReport()
	if a.out.json {
		if err := a.printJSON(document()); err != nil {
			fail(stagePrint, err)
			writeReport()
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
		a.out.log.Value = "json"
	}
	if cmd.Flags().Lookup("json") == nil {
		return err
	}
	a.out.json = a.out.json || asks(args, "--json", "")
	a.out.pages = slices.Contains(pageCommands, cmd.Name())
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

// checkReport refuses, before any work, a report that could not be written or must not:
// the report is never one of others, and replaces nothing but a report.
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
		if reportfile.Same(path, other) {
			return &stage.UsageError{Reason: "--report and another argument name the same file: " + cause.Name(path), Hint: "Name another file for the report"}
		}
	}
	if isPage(path) && !a.out.pages {
		return &stage.UsageError{Reason: "pages are made by " + strings.Join(pageCommands, ", "), Hint: "name a file that does not end in .html"}
	}
	var err error
	a.out.report, a.out.through, err = reportfile.Check(path, a.stdout, a.stderr)
	return err
}

// writeReport writes what write does to the file of --report, if there is one.
func (a *app) writeReport(write func(io.Writer) error) error {
	if a.out.report == "" {
		return nil
	}
	return reportfile.Write(a.out.report, a.out.through, write)
}
