package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/machine"
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
	source  sourceFlags
	opt     inspect.InfoOptions
	verbose bool
}

const infoLong = `Info says what a file is: the container, the Windows in it, the bug check and
what it means, the processors, the memory it holds. It reads vmcores and Windows
dumps alike, and kilobytes of them. What can't be read is left out and said.

`

func (a *app) infoCommand() *cobra.Command {
	f := &infoFlags{}
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Say what a memory image or dump is of",
		Long:  infoLong + exitHelp,
		Example: `  windmp info guest.vmcore
  windmp info MEMORY.DMP --modules --processes
  windmp info guest.vmcore --json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runInfo(cmd.Context(), args[0], f) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.opt.Modules, "modules", "m", false, "list the loaded images with their symbols' identity")
	fs.BoolVarP(&f.opt.Processes, "processes", "p", false, "list the processes")
	f.source.register(fs)
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print all findings")
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
		all, err = inspect.Info(ctx, source.File(path), opt)
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
			t := a.newText(len("bug check"))
			printInfo(t, r, f.verbose)
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

func printInfo(t *text, r *inspect.InfoReport, verbose bool) {
	t.row("file", "%s, %s", r.Input.Path, ibytes(r.Input.Size))
	t.more("%s", r.Input.Description)
	if said := damageOf(r.Findings); said != "" {
		t.row("damage", "%s", said)
	}
	if d := r.Dump; d != nil && d.Comment != "" {
		t.row("comment", "%s", d.Comment)
	}
	printSystem(t, r.System)
	printBugCheck(t, r.Bug)
	printSignature(t, r.Signature)
	printKernel(t, r.Kernel)
	name := ""
	if r.System != nil {
		name = r.System.Machine
	}
	t.machine = machineOf(name)
	for _, c := range r.CPUs {
		printCPU(t, t.machine, c)
	}
	if r.Triage == nil {
		printMemory(t, r.Memory)
	}
	printTriageDump(t, r.Triage, verbose)
	if r.Kernel != nil {
		t.row("modules", "%d loaded, %d remembered as unloaded", r.ModuleCount, len(r.Unloaded))
	}
	if r.Stack != nil && r.Signature != nil { // of a guest that runs, stack shows it
		printStack(t, r.Stack)
	}
	printModules(t, r.Modules)
	printProcesses(t, r.Processes)
	printUnloaded(t, r.Unloaded)
	t.findings(r.Findings, verbose)
}

func printSystem(t *text, s *report.System) {
	if s == nil {
		return
	}
	line := fmt.Sprintf("%s (build %d)", systemName(s), s.Build)
	if q := machineOf(s.Machine).Header.Qualifier; q != "" {
		line += ", " + q
	}
	if s.Product != "" {
		line += ", " + s.Product
	}
	t.row("system", "%s, %s", line, plural(s.Processors, "processor"))
	if s.BuildLab != "" {
		t.row("build", "%s", s.BuildLab)
	}
	if s.SystemTime != "" {
		t.row("time", "%s, up %s", s.SystemTime, uptime(s.UpTime))
	}
	if s.KDBG != 0 {
		tables := ""
		if s.PagingLevels > 0 { // 0 of a dump without page tables
			tables = fmt.Sprintf(", %d levels", s.PagingLevels)
		}
		t.row("KDBG", "%#x, page tables at %#x%s", uint64(s.KDBG), uint64(s.DirectoryTableBase), tables)
	}
}

// printTriageDump says what a triage dump holds.
func printTriageDump(t *text, r *inspect.TriageReport, verbose bool) {
	if r == nil {
		return
	}
	t.row("memory", "%s by virtual address, %s, a stack of %#x bytes at %#x", ibytes(int64(r.Held)), plural(r.Blocks, "data block"), r.StackSize, uint64(r.Stack)) //nolint:gosec // less than the file has
	if r.Thread != 0 {
		name := r.ProcessName
		if name == "" {
			name = "of unknown name"
		}
		t.row("thread", "%#x of process %#x %s", uint64(r.Thread), uint64(r.Process), name)
	}
	if len(r.Secondary) == 0 {
		return
	}
	held := int64(0)
	for _, b := range r.Secondary {
		held += int64(b.Size)
	}
	t.row("secondary", "%s of data, %s", plural(len(r.Secondary), "blob"), ibytes(held))
	if verbose {
		for _, b := range r.Secondary {
			t.more("%s %#x bytes", b.Tag, b.Size)
		}
	}
}

// uptime prints seconds.
func uptime(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

func printBugCheck(t *text, b *report.BugCheckDetail) {
	switch {
	case b == nil:
		t.row("bug check", "not known")
		return
	case !b.Crashed:
		t.row("bug check", "none, the guest was running")
		return
	}
	t.row("bug check", "%#x %s", uint64(b.Code), b.Name)
	if b.Summary != "" {
		t.more("%s", b.Summary)
	}
	for i, p := range b.Parameters {
		t.hang("", t.label+2, cell(fmt.Sprintf("%d  %-18s %s", i+1, fmt.Sprintf("%#x", uint64(p.Value)), p.Meaning)))
	}
}

func printKernel(t *text, k *inspect.ImageReport) {
	if k == nil {
		return
	}
	t.row("kernel", "%s at %#x, %#x bytes %s", k.Name, uint64(k.Base), k.Size, k.FileVersion)
	if k.PDB != nil {
		t.more("%s %s, age %d", k.PDB.Name, k.PDB.GUID, k.PDB.Age)
	} else {
		t.more("no symbols: %s", k.Error)
	}
}

// systemName is the name of a Windows, of whatever build.
func systemName(s *report.System) string { return cmp.Or(s.Name, "Windows") }

// machineOf is the machine with a name, the first where none is known.
func machineOf(name string) *machine.Machine {
	list := machine.All()
	return cmp.Or(machine.ByName(name, list), list[0])
}

func printCPU(t *text, m *machine.Machine, c inspect.CPUInfo) {
	label := fmt.Sprintf("cpu %d", c.Index)
	if c.Error != "" {
		t.row(label, "%s", c.Error)
		return
	}
	t.row(label, "%s %#x %s", m.PointerName, uint64(c.IP), c.Symbol)
	t.more("%s %#x, %s mode, registers: %s", strings.ToLower(m.RootName), uint64(c.Root), c.Mode, c.Source)
}

// memoryRows bounds the ranges that are printed.
const memoryRows = 16

func printMemory(t *text, m inspect.MemoryMap) {
	t.row("memory", "%s in %s", ibytes(m.Held), plural(m.Count, "range"))
	t.ranges(m.Ranges, m.Count)
	if m.Missing > 0 {
		t.more("%s of the %s that the guest lists are not in the file", ibytes(m.Missing), ibytes(m.Listed))
	}
	t.ranges(m.ListedRanges, len(m.ListedRanges))
}

// ranges prints some of count ranges of memory, and the holes between them.
func (t *text) ranges(list []report.Range, count int) {
	end := uint64(0)
	for i, r := range list {
		if i == memoryRows {
			t.more("and %d more", count-i)
			break
		}
		if hole := uint64(r.PA) - end; hole > 0 {
			t.line("%*s%-36s %10s", t.label+2, "", "hole", ibytes(hole))
		}
		end = uint64(r.PA) + r.Size
		t.line("%*s%-29s %10s", t.label+2, "", t.physical(r.PA)+"-"+t.physical(report.Hex(end-1)), ibytes(r.Size))
	}
}

func printModules(t *text, list []inspect.ImageReport) {
	if len(list) == 0 {
		return
	}
	t.heading("%-18s %-10s %-22s %-9s PDB", "base", "size", "name", "timestamp")
	for i := range list {
		m := &list[i]
		t.line("%-*s %#-10x %-22s %08x", addressColumn, t.address(m.Base), m.Size, clip(m.Name, 22), uint64(m.Timestamp))
		if m.PDB != nil {
			t.line("  %s %s-%x", clip(m.PDB.Name, 36), m.PDB.GUID, m.PDB.Age)
		} else {
			t.hang("", 2, cell(m.Error))
		}
	}
}

func printProcesses(t *text, list []inspect.ProcessInfo) {
	if len(list) == 0 {
		return
	}
	t.heading("%8s %8s  %-16s %-18s %-18s", "pid", "parent", "name", "cr3", "EPROCESS")
	for _, p := range list {
		t.line("%8d %8d  %-16s %-18s %s", p.PID, p.ParentPID, clip(p.Name, 16), fmt.Sprintf("%#x", uint64(p.Root)), t.address(p.EPROCESS))
	}
}

func printUnloaded(t *text, list []inspect.Unloaded) {
	if len(list) == 0 {
		return
	}
	t.heading("%-18s %-18s %-20s unloaded", "start", "end", "name")
	for _, u := range list {
		t.line("%-*s %-*s %-20s %s", addressColumn, t.address(u.Start), addressColumn, t.address(u.End), clip(u.Name, 20), u.Time)
	}
}
