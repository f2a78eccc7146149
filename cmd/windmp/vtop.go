package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/cause"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
)

const vtopSchema = "windmp/vtop/v1"

type vtopDocument struct {
	header
	*inspect.WalkReport
	Error *report.Error `json:"error,omitempty"`
}

type vtopFlags struct {
	source sourceflag.Look
	opt    inspect.WalkOptions
	read   flagvalue.Size
}

const vtopLong = `Vtop walks the page tables for each address, from the top down: where each entry
lies, what it holds, its flags; then the page's size, the physical address, and
where in FILE it is. Addresses are hexadecimal, with or without 0x and with or
without WinDbg's grave accent.

Without --dtb or --process the System process' page tables are walked, which
map the kernel.`

func (a *app) vtopCommand() *cobra.Command {
	f := &vtopFlags{}
	cmd := &cobra.Command{
		Use:   "vtop FILE VA...",
		Short: "Translate virtual addresses, entry by entry",
		Long:  vtopLong,
		Example: "  windmp vtop guest.vmcore fffff780`00000000 --read=64\n" +
			"  windmp vtop guest.vmcore 0x7ffe0000 --process=4",
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.opt.HasPID = cmd.Flags().Changed("process")
			return a.runVtop(cmd.Context(), args, f)
		},
	}
	fs := cmd.Flags()
	fs.Var(&f.source.Guest.DTB, "dtb", "physical address of the page tables (CR3) to walk")
	fs.Uint64Var(&f.opt.PID, "process", 0, "walk the page tables of the process with this id")
	fs.IntVar(&f.opt.Levels, "levels", 0, "levels of page tables, 2 to 5, where no guest is found that tells")
	fs.Var(&f.read, "read", "also print this many bytes from each address, such as 64 or 4KiB")
	f.source.Input.Register(fs)
	f.source.Guest.RegisterKernel(fs)
	f.source.Limits.Register(fs)
	a.out.register(fs)
	return cmd
}

func (a *app) runVtop(ctx context.Context, args []string, f *vtopFlags) error {
	r, err := a.walk(ctx, args, f)
	return a.finish(outcome{
		schema: vtopSchema, err: err,
		document: func(h header, e *report.Error) any { return vtopDocument{h, r, e} },
		text: func() error {
			if err != nil {
				return nil
			}
			a.warnCut(r.Findings)
			t := newText(a.stdout)
			textreport.Walk(t, r)
			return a.print(t)
		},
	})
}

func (a *app) walk(ctx context.Context, args []string, f *vtopFlags) (*inspect.WalkReport, error) {
	var err error
	if f.opt.Source, f.opt.Guest, err = a.prepare(&f.source, args[0]); err != nil {
		return nil, err
	}
	vas := make([]uint64, 0, len(args)-1)
	for _, arg := range args[1:] {
		va, err := flagvalue.ParseVA(arg)
		if err != nil {
			return nil, asAddress(arg, err)
		}
		vas = append(vas, va)
	}
	f.opt.DTB, f.opt.Read = uint64(f.source.Guest.DTB), int(min(f.read, inspect.MaxWalkRead+1))
	return inspect.Walk(ctx, source.Named(args[0]), vas, f.opt)
}

// asAddress says of a file that stands where an address should what is wrong with that.
func asAddress(arg string, err error) error {
	if _, no := os.Stat(arg); no == nil {
		return &stage.UsageError{Reason: cause.Name(arg) + " is a file, where an address should be", Hint: "Name FILE first, then the addresses"}
	}
	return err
}
