package main

import (
	"context"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
)

const stackSchema = "windmp/stack/v1"

type stackDocument struct {
	header
	*inspect.StackReport
	// Error is the report's, or that of a usage error, when there is none.
	Error *report.Error `json:"error,omitempty"`
}

type stackFlags struct {
	source        sourceflag.Look
	opt           inspect.StackOptions
	context, trap flagvalue.Address
}

const stackLong = `Stack lists the calls that led to a crash, from where the crash really was: the
exception that the bug check's parameters name, the one that the stack holds, or
the call that raised it. Of a guest that was running it lists what its first
processor was doing. It needs no symbols: functions have names where the images
in memory export them. Frames marked with ? were found by a scan, and may not be
real.

The signature names the bug check and the first module that is not Windows' own.
Equal crashes have equal signatures. It does not name the cause.`

func (a *app) stackCommand() *cobra.Command {
	f := &stackFlags{}
	cmd := &cobra.Command{
		Use:   "stack FILE",
		Short: "List the calls that led to a crash, without symbols",
		Long:  stackLong,
		Example: `  windmp stack guest.vmcore
  windmp stack guest.vmcore --all
  windmp stack MEMORY.DMP --json > ticket.json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.opt.HasCPU = cmd.Flags().Changed("cpu")
			return a.runStack(cmd.Context(), args[0], f)
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&f.opt.CPU, "cpu", 0, "the stack of this processor")
	fs.BoolVar(&f.opt.All, "all", false, "the stacks of all processors")
	fs.Var(&f.context, "context", "walk from the CONTEXT at this virtual address")
	fs.Var(&f.trap, "trap", "walk from the KTRAP_FRAME at this virtual address")
	f.source.Register(fs)
	f.source.Limits.Register(fs)
	a.out.register(fs)
	return cmd
}

func (a *app) runStack(ctx context.Context, path string, f *stackFlags) error {
	var r *inspect.StackReport
	var err error
	if f.opt.Source, f.opt.Guest, err = a.prepare(&f.source, path); err == nil {
		f.opt.Context, f.opt.Trap = uint64(f.context), uint64(f.trap)
		r, err = inspect.Stack(ctx, source.Named(path), f.opt)
	}
	return a.finish(outcome{
		schema: stackSchema, err: err,
		document: func(h header, e *report.Error) any { return stackDocument{h, r, e} },
		text: func() error {
			if r == nil || r.Input.Format == "" {
				return nil
			}
			a.warnCut(r.Findings)
			t := newText(a.stdout)
			textreport.Stacks(t, r, a.out.verbose)
			return a.print(t)
		},
	})
}
