package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

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
	source        sourceFlags
	opt           inspect.StackOptions
	context, trap address
	verbose       bool
}

const stackLong = `Stack lists the calls that led to a crash, from where the crash really was: the
exception that the bug check's parameters name, the one that the stack holds, or
the call that raised it. Of a guest that runs it lists what its first processor
does. It needs no symbols: functions have their names where the images in memory
export them. Frames that a scan found are marked with ?: they may be none.

The signature names the bug check and the first module that is not Windows' own.
Equal crashes have equal signatures. It is no cause.

`

func (a *app) stackCommand() *cobra.Command {
	f := &stackFlags{}
	cmd := &cobra.Command{
		Use:   "stack FILE",
		Short: "List the calls that led to a crash, without symbols",
		Long:  stackLong + exitHelp,
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
	fs.SortFlags = false
	fs.IntVar(&f.opt.CPU, "cpu", 0, "the stack of this processor")
	fs.BoolVar(&f.opt.All, "all", false, "the stacks of all processors")
	fs.Var(&f.context, "context", "walk from the CONTEXT at this virtual address")
	fs.Var(&f.trap, "trap", "walk from the KTRAP_FRAME at this virtual address")
	f.source.register(fs)
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print all findings")
	a.out.register(fs)
	return cmd
}

func (a *app) runStack(ctx context.Context, path string, f *stackFlags) error {
	var r *inspect.StackReport
	var err error
	if f.opt.Source, f.opt.Guest, err = a.prepare(&f.source, path); err == nil {
		f.opt.Context, f.opt.Trap = uint64(f.context), uint64(f.trap)
		r, err = inspect.Stack(ctx, source.File(path), f.opt)
	}
	return a.finish(outcome{
		schema: stackSchema, err: err,
		document: func(h header, e *report.Error) any { return stackDocument{h, r, e} },
		text: func() error {
			if r == nil || r.Input.Format == "" {
				return nil
			}
			a.warnCut(r.Findings)
			t := a.newText(len("bug check"))
			t.machine = r.Machine
			printStacks(t, r, f.verbose)
			return a.print(t)
		},
	})
}

func printStacks(t *text, r *inspect.StackReport, verbose bool) {
	printBugCheck(t, r.Bug)
	printSignature(t, r.Signature)
	for i := range r.Stacks {
		printStack(t, &r.Stacks[i])
	}
	t.findings(r.Findings, verbose)
}

// printSignature prints by what equal crashes are known.
func printSignature(t *text, s *report.Signature) {
	if s == nil {
		return
	}
	t.row("signature", "%s", s.Text)
	said := s.Reason
	if s.MayBeVictim {
		said += "; memory was found damaged: it may be the victim"
	}
	t.more("%s", said)
}

// printStack prints the frames as debuggers do, the innermost first.
func printStack(t *text, s *report.Stack) {
	who := "thread"
	if s.Processor >= 0 {
		who = fmt.Sprintf("processor %d", s.Processor)
	}
	t.heading("%s, from %s", who, s.From())
	for _, f := range s.Handlers {
		t.frame(false, f)
	}
	for i, f := range s.Frames {
		t.frame(i == 0 && len(s.Handlers) > 0, f)
	}
	if !s.Complete {
		t.hang("", addressIndent, cell(s.Stop))
	}
	if len(s.Seen) > 0 {
		t.hang("", addressIndent, "seen on the stack behind it, and may be no calls:")
		for _, x := range s.Seen {
			t.line("?     %s  %s", t.address(x.Address), x.Place)
		}
	}
}

// addressIndent is where the addresses of a frame begin.
const addressIndent = 6

// frame prints one: its number, the stack pointer, how it was found, and where it is.
// here marks where the crash was.
func (t *text) frame(here bool, f report.StackFrame) {
	mark := ' '
	switch {
	case f.How == "scan":
		mark = '?'
	case here:
		mark = '>'
	}
	t.line("%c %02d  %s  %-13s  %s", mark, f.Index, t.address(f.SP), f.How, f.Place)
}
