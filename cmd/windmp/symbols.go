package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/binio"
)

const symbolsSchema = "windmp/symbols/v1"

type symbolsDocument struct {
	header
	*inspect.SymbolsReport
	Error *report.Error `json:"error,omitempty"`
}

type symbolsFlags struct {
	source   sourceflag.Look
	opt      inspect.SymbolsOptions
	manifest bool
}

const symbolsLong = `Symbols lists the keys under which symbol servers keep the symbols and the
images of a guest's kernel modules, read from the images in its memory. Nothing
is fetched.`

func (a *app) symbolsCommand() *cobra.Command {
	f := &symbolsFlags{}
	cmd := &cobra.Command{
		Use:   "symbols FILE",
		Short: "List what to ask a symbol server for",
		Long:  symbolsLong,
		Example: `  windmp symbols guest.vmcore
  windmp symbols guest.vmcore --urls=https://msdl.microsoft.com/download/symbols
  windmp symbols guest.vmcore --manifest > list.txt   # symchk /im list.txt`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runSymbols(cmd.Context(), args[0], f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.opt.Server, "urls", "", "print the URLs below this one, of a symbol server")
	fs.BoolVar(&f.manifest, "manifest", false, "print a manifest for symchk /im")
	fs.BoolVar(&f.opt.KernelOnly, "kernel-only-modules", false, "list the kernel's own image only")
	f.source.Register(fs)
	f.source.Limits.Register(fs)
	a.out.register(fs)
	return cmd
}

func (a *app) runSymbols(ctx context.Context, path string, f *symbolsFlags) error {
	var r *inspect.SymbolsReport
	var err error
	if f.opt.Source, f.opt.Guest, err = a.prepare(&f.source, path); err == nil {
		r, err = inspect.Symbols(ctx, source.Named(path), f.opt)
	}
	return a.finish(outcome{
		schema: symbolsSchema, err: err,
		document: func(h header, e *report.Error) any { return symbolsDocument{h, r, e} },
		text:     func() error { return a.printSymbols(r, f) },
	})
}

// printSymbols prints the list in the form that was asked for.
func (a *app) printSymbols(r *inspect.SymbolsReport, f *symbolsFlags) error {
	if r == nil || len(r.Modules) == 0 {
		return nil
	}
	a.warnCut(r.Findings)
	var err error
	switch {
	case f.manifest:
		_, err = io.WriteString(a.stdout, r.Manifest())
	case f.opt.Server != "":
		_, err = io.WriteString(a.stdout, strings.Join(r.URLs(), "\n")+"\n")
	default:
		t := newText(a.stdout)
		textreport.Symbols(t, r)
		err = a.print(t)
	}
	if err != nil {
		return err
	}
	if f.manifest || f.opt.Server != "" {
		a.complainUnreadable(r)
	}
	return nil
}

// namedUnreadable is how many images are named that the lists for machines leave out: of
// a small dump these are nearly all.
const namedUnreadable = 8

// complainUnreadable says on standard error what the lists for machines leave out.
func (a *app) complainUnreadable(r *inspect.SymbolsReport) {
	left := 0
	for i := range r.Modules {
		m := &r.Modules[i]
		if m.Readable {
			continue
		}
		if left++; left <= namedUnreadable {
			a.say(logLine{Level: levelWarn, Message: binio.Visible(m.Name) + ": symbols not known: " + m.Error})
		}
	}
	if left > namedUnreadable {
		a.say(logLine{Level: levelWarn, Message: fmt.Sprintf("%d more of %s: symbols not known; without --manifest and --urls all are listed", left-namedUnreadable, binio.Plural(len(r.Modules), "image"))})
	}
}
