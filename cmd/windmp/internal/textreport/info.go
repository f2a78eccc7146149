package textreport

import (
	"fmt"
	"strconv"
	"strings"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/inspect"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// Info prints what a file is, with the lists that its report has.
func Info(t *Text, r *inspect.InfoReport, verbose bool) {
	name := ""
	if r.System != nil {
		name = r.System.Machine
	}
	t.machine = machine.OrFirst(name)
	printInput(t, "file", &r.Input, damageOf(r.Findings))
	if d := r.Dump; d != nil && d.Comment != "" {
		t.Key("comment", "%s", d.Comment)
	}
	printSystem(t, r.System)
	printPlaces(t, r.System)
	printBugCheck(t, r.Bug)
	printSignature(t, r.Signature, true)
	printKernel(t, r.Kernel)
	if r.Kernel != nil {
		t.Key("modules", "%d loaded, %d remembered as unloaded", r.ModuleCount, len(r.Unloaded))
	}
	printTriageDump(t, r.Triage, verbose)
	printCPUs(t, r.CPUs)
	if r.Triage == nil {
		printMemory(t, r.Memory)
	}
	if r.Stack != nil && r.Signature != nil { // of a guest that runs, stack shows it
		printStack(t, r.Stack, r.Bug)
	}
	printModules(t, r.Modules)
	printProcesses(t, r.Processes)
	printUnloaded(t, r.Unloaded)
	t.Blank()
	t.notes(t.findings(r.Findings, verbose))
}

// printPlaces says what build it is, and where its own description of itself lies.
func printPlaces(t *Text, s *report.System) {
	if s == nil {
		return
	}
	if s.BuildLab != "" {
		t.Key("build", "%s", s.BuildLab)
	}
	if s.KDBG != 0 {
		tables := ""
		if s.PagingLevels > 0 { // 0 of a dump without page tables
			tables = binio.Plural(s.PagingLevels, "level")
		}
		t.Key("KDBG", "%s", List(fmt.Sprintf("at %#x", uint64(s.KDBG)), fmt.Sprintf("page tables at %#x", uint64(s.DirectoryTableBase)), tables))
	}
}

// printTriageDump says what a triage dump holds.
func printTriageDump(t *Text, r *inspect.TriageReport, verbose bool) {
	if r == nil {
		return
	}
	t.Key("memory", "%s by virtual address, %s, a stack of %s at %#x", binio.Bytes(r.Held), binio.Plural(r.Blocks, "data block"), binio.Bytes(int64(r.StackSize)), uint64(r.Stack))
	if r.Thread != 0 {
		name := r.ProcessName
		if name == "" {
			name = "of unknown name"
		}
		t.Key("thread", "%#x of process %#x %s", uint64(r.Thread), uint64(r.Process), name)
	}
	if len(r.Secondary) == 0 {
		return
	}
	held := uint64(0)
	for _, b := range r.Secondary {
		held += uint64(b.Size)
	}
	t.Key("secondary", "%s of data, %s", binio.Plural(len(r.Secondary), "blob"), binio.Bytes(held))
	if verbose {
		table := t.Table(screen.KeyWidth, screen.Column{}, screen.Column{Right: true})
		for _, b := range r.Secondary {
			table.Row(b.Tag, binio.Bytes(uint64(b.Size)))
		}
		table.End()
	}
}

// printCPUs prints a line for each processor.
func printCPUs(t *Text, list []inspect.CPUInfo) {
	if len(list) == 0 {
		return
	}
	m := t.guest()
	t.Blank()
	table := t.Table(0, screen.Column{Name: "processor", Right: true}, screen.Column{Name: "mode"}, screen.Column{Name: m.PointerName}, screen.Column{Name: "place", Fit: screen.ClipFront},
		screen.Column{Name: strings.ToLower(m.RootName)}, screen.Column{Name: "registers", Fit: screen.Wrap})
	for _, c := range list {
		if c.Error != "" {
			table.Row(strconv.Itoa(c.Index), "", "", "", "", c.Error)
			continue
		}
		table.Row(strconv.Itoa(c.Index), c.Mode, t.address(c.IP), c.Symbol, fmt.Sprintf("%#x", uint64(c.Root)), string(c.Source))
	}
	table.End()
}

// memoryRows bounds the ranges that are printed.
const memoryRows = 16

func printMemory(t *Text, m inspect.MemoryMap) {
	t.Blank()
	t.Key("memory", "%s in %s", binio.Bytes(m.Held), binio.Plural(m.Count, "range"))
	if m.Missing > 0 {
		t.More("%s", missingText(m.Missing, m.Listed))
	}
	t.ranges(m.Ranges, m.Count)
	t.ranges(m.ListedRanges, len(m.ListedRanges))
}

// ranges prints some of count ranges of memory, and the holes between them.
func (t *Text) ranges(list []report.Range, count int) {
	table := t.Table(screen.KeyWidth, screen.Column{}, screen.Column{}, screen.Column{Right: true})
	end := uint64(0)
	for i, r := range list {
		if i == memoryRows {
			break
		}
		if hole := uint64(r.PA) - end; hole > 0 {
			table.Row("hole", "", binio.Bytes(hole))
		}
		end = uint64(r.PA) + r.Size
		table.Row(t.physical(r.PA), t.physical(report.Hex(end-1)), binio.Bytes(r.Size))
	}
	table.End()
	if len(list) > memoryRows {
		t.More("and %d more", count-memoryRows)
	}
}

func printModules(t *Text, list []inspect.ImageReport) {
	if len(list) == 0 {
		return
	}
	t.Heading("modules")
	table := t.Table(0, screen.Column{Name: "base"}, screen.Column{Name: "size", Right: true}, screen.Column{Name: "name", Fit: screen.Clip}, screen.Column{Name: "timestamp"},
		screen.Column{Name: "symbols", Fit: screen.Below})
	unknown := func(m *inspect.ImageReport) string {
		if m.PDB != nil {
			return "" // whatever else is not
		}
		return m.Error
	}
	often := newOften(len(list), func(i int) string { return unknown(&list[i]) })
	for i := range list {
		m := &list[i]
		symbols := often.unless(unknown(m))
		if m.PDB != nil {
			symbols = fmt.Sprintf("%s %s-%x", m.PDB.Name, m.PDB.GUID, m.PDB.Age)
		}
		table.Row(t.address(m.Base), binio.Bytes(uint64(m.Size)), m.Name, fmt.Sprintf("%#08x", uint64(m.Timestamp)), symbols)
	}
	table.End()
	often.say(t)
}

func printProcesses(t *Text, list []inspect.ProcessInfo) {
	if len(list) == 0 {
		return
	}
	t.Heading("processes")
	table := t.Table(0, screen.Column{Name: "pid", Right: true}, screen.Column{Name: "parent", Right: true}, screen.Column{Name: "name", Fit: screen.Clip},
		screen.Column{Name: strings.ToLower(t.guest().RootName)}, screen.Column{Name: "EPROCESS"})
	for _, p := range list {
		table.Row(strconv.FormatUint(p.PID, 10), strconv.FormatUint(p.ParentPID, 10), p.Name, fmt.Sprintf("%#x", uint64(p.Root)), t.address(p.EPROCESS))
	}
	table.End()
}

func printUnloaded(t *Text, list []inspect.Unloaded) {
	if len(list) == 0 {
		return
	}
	t.Heading("unloaded drivers")
	table := t.Table(0, screen.Column{Name: "start"}, screen.Column{Name: "end"}, screen.Column{Name: "name", Fit: screen.Clip}, screen.Column{Name: "unloaded"})
	for _, u := range list {
		table.Row(t.address(u.Start), t.address(u.End), u.Name, binio.MomentOf(u.Time))
	}
	table.End()
}
