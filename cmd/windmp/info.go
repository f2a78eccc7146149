package main

import (
	"context"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
)

const infoSchema = "windmp/info/v1"

type infoDocument struct {
	header
	*inspect.InfoReport
	// Error is the report's, or that of a usage error, when there is none.
	Error *report.Error `json:"error,omitempty"`
}

type infoFlags struct {
	source sourceflag.Look
	opt    inspect.InfoOptions
}

const infoLong = `Info says what a file is: the container, the Windows in it, the bug check and
what it means, the processors, the memory it holds. It takes vmcores and Windows
dumps alike, and reads only kilobytes of them. What can't be read is left out,
and info says so.`

func (a *app) infoCommand() *cobra.Command {
	f := &infoFlags{}
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Describe a memory image or dump, and the Windows in it",
		Long:  infoLong,
		Example: `  windmp info guest.vmcore
  windmp info MEMORY.DMP --modules --processes
  windmp info guest.vmcore --json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runInfo(cmd.Context(), args[0], f) },
	}
	fs := cmd.Flags()
	fs.BoolVarP(&f.opt.Modules, "modules", "m", false, "list the loaded images with their symbols' identity")
	fs.BoolVarP(&f.opt.Processes, "processes", "p", false, "list the processes")
	f.source.Register(fs)
	f.source.Limits.Register(fs)
	a.out.registerPage(fs)
	return cmd
}

func (a *app) runInfo(ctx context.Context, path string, f *infoFlags) error {
	var all, r *inspect.InfoReport
	var err error
	a.out.pages = true
	if f.opt.Source, f.opt.Guest, err = a.prepare(&f.source, path); err == nil {
		opt := f.opt
		if a.wantsPage() {
			opt.Modules, opt.Processes = true, true
		}
		all, err = inspect.Info(ctx, source.Named(path), opt)
		r = asAsked(all, f.opt)
	}
	return a.finish(outcome{
		schema: infoSchema, err: err,
		document: func(h header, e *report.Error) any { return infoDocument{h, r, e} },
		files: func() []htmlreport.File {
			if all == nil {
				return nil
			}
			return []htmlreport.File{{Info: all}}
		},
		text: func() error {
			if r == nil || r.Input.Format == "" {
				return nil
			}
			t := newText(a.stdout)
			textreport.Info(t, r, a.out.verbose)
			return a.print(t)
		},
	})
}

// asAsked is a report with the lists that were asked for: a page has all of them.
func asAsked(r *inspect.InfoReport, opt inspect.InfoOptions) *inspect.InfoReport {
	shown := *r
	if !opt.Modules {
		shown.Modules = nil
	}
	if !opt.Processes {
		shown.Processes = nil
	}
	return &shown
}
