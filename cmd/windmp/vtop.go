package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

const vtopSchema = "windmp/vtop/v1"

type vtopDocument struct {
	header
	*inspect.WalkReport
	Error *report.Error `json:"error,omitempty"`
}

type vtopFlags struct {
	source sourceFlags
	opt    inspect.WalkOptions
	read   size
}

const vtopLong = `Vtop walks the page tables for each address, from the top down: where each entry
lies, what it holds, its flags; then the page's size, the physical address, and
where in FILE it is. Addresses are hexadecimal, with or without 0x and with or
without WinDbg's grave accent.

Without --dtb or --process the System process' page tables are walked, which
map the kernel.

`

func (a *app) vtopCommand() *cobra.Command {
	f := &vtopFlags{}
	cmd := &cobra.Command{
		Use:   "vtop FILE VA...",
		Short: "Translate virtual addresses, entry by entry",
		Long:  vtopLong + exitHelp,
		Example: "  windmp vtop guest.vmcore fffff780`00000000 --read=64\n" +
			"  windmp vtop guest.vmcore 0x7ffe0000 --process=4",
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.opt.HasPID = cmd.Flags().Changed("process")
			return a.runVtop(cmd.Context(), args, f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var(&f.source.dtb, "dtb", "physical address of the page tables (CR3) to walk")
	fs.Uint64Var(&f.opt.PID, "process", 0, "walk the page tables of the process with this id")
	fs.IntVar(&f.opt.Levels, "levels", 0, "of the page tables, where no guest is found that tells: 2 to 5")
	fs.Var(&f.read, "read", "also print so many bytes from each address, such as 64 or 4KiB")
	f.source.registerInput(fs)
	f.source.limits.register(fs)
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
			printVtop(t, r)
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
		va, err := parseVA(arg)
		if err != nil {
			return nil, err
		}
		vas = append(vas, va)
	}
	f.opt.DTB, f.opt.Read = uint64(f.source.dtb), int(min(f.read, inspect.MaxWalkRead+1))
	return inspect.Walk(ctx, source.Named(args[0]), vas, f.opt)
}

// parseVA is as the flag's type, but takes 0.
func parseVA(s string) (uint64, error) {
	var a address
	if strings.Trim(strings.TrimPrefix(strings.ToLower(s), "0x"), "0`") == "" && strings.HasSuffix(s, "0") {
		return 0, nil
	}
	if err := a.Set(s); err != nil {
		return 0, &stage.UsageError{Reason: fmt.Sprintf("%q is no address: %v", s, err)}
	}
	return uint64(a), nil
}

func printVtop(t *text, r *inspect.WalkReport) {
	t.machine = r.Machine
	t.Key("tables", "%s", list(fmt.Sprintf("at %#x", uint64(r.DTB)), binio.Plural(r.Levels, "level"), r.Process))
	for i := range r.Walks {
		w := &r.Walks[i]
		t.Heading("%s", t.address(w.VA))
		table := t.Table(2, screen.Column{Name: "level"}, screen.Column{Name: "entry at"}, screen.Column{Name: "entry"}, screen.Column{Name: "flags"})
		for _, s := range w.Steps {
			table.Row(s.Name, t.physical(s.EntryPA), fmt.Sprintf("%#016x", uint64(s.Entry)), strings.Join(s.Flags, " "))
		}
		if w.Mapped {
			table.Row("page", t.physical(w.PA), binio.Bytes(w.PageSize), placeInFile(r, w))
		}
		table.End()
		if w.Error != "" {
			t.Note(2, "%s", w.Error)
		}
		printHex(t, w.VA, w.Data)
	}
}

// placeInFile says where in the file a page is.
func placeInFile(r *inspect.WalkReport, w *inspect.AddressWalk) string {
	switch {
	case w.FileOffset < 0:
		return "not in the file byte by byte"
	case r.Input.MemoryFile != "":
		return fmt.Sprintf("offset %#x in %s", w.FileOffset, r.Input.MemoryFile)
	default:
		return fmt.Sprintf("file offset %#x", w.FileOffset)
	}
}

// printHex is a hex dump by virtual addresses.
func printHex(t *text, va report.Hex, data []byte) {
	table := t.Table(2, screen.Column{}, screen.Column{}, screen.Column{})
	for off := 0; off < len(data); off += 16 {
		row := data[off:min(off+16, len(data))]
		ascii := make([]byte, 0, len(row))
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			ascii = append(ascii, c)
		}
		digits := hex.EncodeToString(row)
		groups := make([]string, 0, 8)
		for len(digits) > 0 {
			n := min(4, len(digits))
			groups = append(groups, digits[:n])
			digits = digits[n:]
		}
		table.Row(t.address(va+report.Hex(off)), fmt.Sprintf("%-39s", strings.Join(groups, " ")), string(ascii))
	}
	table.End()
}
