package guest

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// readDumpHeader takes the header of a source that is a Windows dump already:
// the dump's own. What is wrong with it is left as it is and said: such a
// source is examined as it will be opened.
func (g *finder) readDumpHeader(raw []byte) error {
	h, err := winhdr.Decode(raw, machine.Formats(g.machines)...)
	if err != nil {
		return g.Refuse(finding.HeaderBad.WithAdvice("").At(HeaderOffset(0), "the dump's header can't be read").Because(err), err)
	}
	g.takeHeader(h)
	if h.MachineImageType != h.Format().Machine {
		read := eachFormat(machine.Formats(g.machines), "and", func(f *winhdr.Format) string { return f.Title })
		return g.unsupported(finding.HeaderBad.WithAdvice("").At(HeaderOffset(h.Offset("MachineImageType")),
			"the dump is of a machine that is not read: only %s are", read).Because(fmt.Sprintf("MachineImageType is %#x", h.MachineImageType)))
	}
	for _, p := range h.Check() {
		if !settledLater[p.Field] && !ListsPages(h.DumpType, p.Field) {
			g.Add(finding.HeaderOdd.At(HeaderOffset(p.Offset), "dump header: %s", p.Sentence()).Because(p))
		}
	}
	g.Runs = g.dumpRuns()
	return nil
}

// HeaderOffset names a place in a dump's header.
func HeaderOffset(off int) string { return fmt.Sprintf("header offset %#x", off) }

// ListsPages tells whether field is about the run table of a dump that has its
// pages listed behind the header: there it has no meaning. DumpType is judged by the
// image that was opened by it.
func ListsPages(t winhdr.DumpType, field string) bool {
	return t.ListsPages() && (field == "DumpType" || aboutRuns(field))
}

// dumpRuns is the memory that the dump holds, in whole pages.
func (g *finder) dumpRuns() []physmem.Run {
	if runs, _ := g.Header.Runs(); runs != nil && !ListsPages(g.Header.DumpType, "NumberOfRuns") {
		return runs
	}
	var runs []physmem.Run
	for _, r := range g.Image.Ranges() {
		if n := r.Size / physmem.PageSize; n > 0 {
			runs = append(runs, physmem.Run{BasePage: r.Start / physmem.PageSize, PageCount: n})
		}
	}
	return runs
}

// mapsKernel tells whether the header's page tables, taken for those of a mode, map
// something that every guest has.
func (g *finder) mapsKernel(mode *vtop.Mode) bool {
	space := g.Space(g.Header.DirectoryTableBase, mode)
	for _, va := range []vtop.VA{g.machine.Kernel.SharedUserData, vtop.VA(g.Header.KdDebuggerDataBlock)} {
		if _, err := space.Translate(va); err == nil {
			return true
		}
	}
	return false
}
