package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"windmp/cmd/windmp/internal/reportfile"
	"windmp/cmd/windmp/internal/screen"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/cmd/windmp/internal/wildcards"
	"windmp/convert/cause"
	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

// conversion is one of several, of --out-dir.
type conversion struct {
	in, out string
	report  *report.Report
	details *inspect.InfoReport
	err     error
}

// document is the conversion's, as that of a run that has no other.
func (c *conversion) document() any {
	e := report.OfError(c.err)
	if c.report != nil {
		e = nil // the report has it
	}
	return document{newHeader(convertSchema, c.err), c.report, e}
}

// runConvertMany converts files into a folder. It goes on after a failure, and ends with
// the worst of them.
func (a *app) runConvertMany(ctx context.Context, ins []string, f *convertFlags) error {
	a.out.pages = true
	all, err := a.planMany(wildcards.Expand(ins), f)
	if err != nil {
		return err // the command line is at fault: printed as for one file
	}
	opt, err := f.options()
	if err != nil {
		return err
	}
	if st, err := os.Stat(f.outDir); err == nil && !st.IsDir() {
		return &stage.UsageError{Reason: "--out-dir: " + cause.Name(f.outDir) + " is no folder", Hint: "name a folder, there or not"}
	}
	if !f.dryRun {
		if err := os.MkdirAll(f.outDir, 0o700); err != nil { // private, as the dumps
			return a.finish(outcome{
				schema: convertSchema, err: &stage.Error{Stage: stage.Output, Err: err},
				document: func(h header, e *report.Error) any { return document{h, nil, e} },
			})
		}
	}
	var printing error
	done := 0
	for i := range all {
		c := &all[i]
		c.report, c.details, c.err = a.convertOne(ctx, c.in, c.out, opt, f.quiet)
		a.progress.Clear()
		done++
		if a.out.json {
			printing = errors.Join(printing, encodeLine(a.stdout, c.document()))
		}
		if c.err != nil && !a.out.json {
			a.complain(c)
		}
		if printing != nil || errors.Is(c.err, context.Canceled) {
			break
		}
	}
	return a.finishMany(all[:done], printing, f)
}

// complain says why a conversion failed. The exit code is in the line that ends the run.
func (a *app) complain(c *conversion) {
	e := report.OfError(c.err)
	a.say(logLine{Level: levelError, Message: e.Message, Hint: e.Hint, Detail: e.Detail, Stage: e.Stage})
}

// planMany names the outputs, and refuses before any work what would write one file
// twice, or over an input.
func (a *app) planMany(ins []string, f *convertFlags) ([]conversion, error) {
	all := make([]conversion, 0, len(ins))
	names := make([]string, 0, 2*len(ins))
	from := map[string]string{}
	for _, in := range ins {
		base := filepath.Base(source.Named(in).Name())
		if in == "-" || base == "." || base == string(filepath.Separator) {
			return nil, &stage.UsageError{Reason: cause.Name(in) + " names no file, after which a dump could be named"}
		}
		out := filepath.Join(f.outDir, base+f.suffix())
		if other, twice := from[out]; twice {
			return nil, twiceError(other, in, out)
		}
		from[out] = in
		all = append(all, conversion{in: in, out: out})
		names = append(names, in, out)
	}
	for _, c := range all {
		for _, in := range ins {
			if reportfile.Same(c.out, in) {
				return nil, &stage.UsageError{Reason: fmt.Sprintf("the output of %s would be %s, which is an input", cause.Name(c.in), cause.Name(c.out)), Hint: "name another folder"}
			}
		}
	}
	return all, a.checkReport(names...)
}

// twiceError says why two files can't be converted into one folder: they are one, or have
// the same name.
func twiceError(a, b, out string) error {
	switch {
	case a == b:
		return &stage.UsageError{Reason: cause.Name(a) + " is named twice", Hint: "name it once"}
	case reportfile.Same(a, b):
		return &stage.UsageError{Reason: cause.Name(a) + " and " + cause.Name(b) + " are the same file", Hint: "name it once"}
	default:
		return &stage.UsageError{Reason: fmt.Sprintf("%s and %s would both be written to %s", cause.Name(a), cause.Name(b), cause.Name(out)), Hint: "convert one of them into another folder"}
	}
}

// finishMany prints the table, writes the report, and returns the worst error, which is
// told already; printing is what went wrong with lines of JSON.
func (a *app) finishMany(all []conversion, printing error, f *convertFlags) error {
	a.finished = true
	if !a.out.json && !f.quiet {
		t := newText(a.stdout)
		printMany(t, all, f)
		printing = a.print(t)
	}
	var late error
	if printing != nil {
		late = &stage.Error{Stage: stagePrint, Err: printing}
	}
	if err := a.writeReport(func(w io.Writer) error { return a.reportMany(w, all) }); err != nil {
		late = errors.Join(late, &stage.Error{Stage: stage.Report, Err: err})
	}
	if late != nil {
		return late
	}
	errs := make([]error, 0, len(all))
	for i := range all {
		errs = append(errs, all[i].err)
	}
	if err := worst(errs...); err != nil {
		return &printedError{err}
	}
	return nil
}

// reportMany writes the documents, a line each, or the page.
func (a *app) reportMany(w io.Writer, all []conversion) error {
	if a.wantsPage() {
		return a.render(w, &outcome{schema: convertSchema, files: func() (files []htmlreport.File) {
			for i := range all {
				if all[i].report != nil {
					files = append(files, htmlreport.File{Convert: all[i].report, Info: all[i].details})
				}
			}
			return files
		}}, nil)
	}
	for i := range all {
		if err := encodeLine(w, all[i].document()); err != nil {
			return err
		}
	}
	return nil
}

// encodeLine writes a document in one line, in the command's words.
func encodeLine(w io.Writer, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, withFlags(string(text))+"\n")
	return err
}

// worst is the error that decides the exit code of several files, at least one: the first
// of its kind, nil where nothing went wrong.
func worst(errs ...error) error {
	codes := make([]int, len(errs))
	for i, err := range errs {
		codes[i] = exitcode.Of(err)
	}
	return errs[slices.Index(codes, exitcode.Worst(codes...))]
}

// failureLine says in a line why a file was not converted. The names of the file and of
// its output follow from what stands beside it.
func failureLine(c *conversion) string {
	var refused *finding.RefusedError
	if errors.As(c.err, &refused) {
		return refused.Finding.ID + " " + refused.Finding.Message
	}
	said := cause.WithoutName(report.OfError(c.err).Message, c.in)
	if of, ok := strings.CutPrefix(strings.TrimPrefix(said, theOutput+" "), cause.Name(c.out)); ok {
		return theOutput + of
	}
	return said
}

// theOutput begins a sentence about an output that is not named.
const theOutput = "the output"

// printMany prints a line for each conversion, and how many went well.
func printMany(t *textreport.Text, all []conversion, f *convertFlags) {
	table := t.Table(0, screen.Column{Name: "verdict", Judged: true}, screen.Column{Name: "input", Fit: screen.ClipFront}, screen.Column{Name: "output", Right: true}, screen.Column{Name: "what it is, what is wrong", Fit: screen.Clip})
	failed := 0
	verdict := "OK"
	for i := range all {
		c := &all[i]
		if c.err != nil {
			failed++
			table.Row("FAIL", c.in, "", withFlags(failureLine(c)))
			continue
		}
		if c.report.Verdict != "OK" {
			verdict = "WARN"
		}
		table.Row(c.report.Verdict, c.in, binio.Bytes(c.report.Output.Size), textreport.ConvertLine(t, c.report))
	}
	table.End()
	t.Blank()
	said := binio.Plural(len(all)-failed, "file")
	if f.dryRun {
		said += " would be converted into " + f.outDir
	} else {
		said += " converted into " + f.outDir
	}
	if failed > 0 {
		verdict, said = "FAIL", textreport.List(said, fmt.Sprintf("%d not", failed))
	}
	t.Verdict("verdict", verdict, "; %s", said)
}
