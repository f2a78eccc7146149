package processor

import (
	"fmt"

	"windmp/convert/finding"
)

// checkMoments holds the registers of a source that has them and the memory in two files
// against each other: a processor in the kernel uses the page tables of the process
// that is current in memory, but for the few instructions of a switch between two, and
// of an entry that still has a process' shadow tables, which do not map the kernel.
// Where it does not, memory is of a later moment, or of another machine's file.
func (g *pairing) checkMoments() {
	if !g.View.Image.Apart() {
		return
	}
	for i := range g.list {
		p := &g.list[i]
		if p.State == nil || !p.State.HasSystem || !p.State.Paged || !p.State.InKernel {
			continue
		}
		current, err := g.Kernel.CurrentProcess(p.PRCB)
		if err != nil {
			continue
		}
		used, want := p.State.Mode.Root(p.State.Root), p.State.Mode.Root(current.DirectoryTable)
		if _, err := p.State.Space(g.View).Translate(g.Kernel.VA); err == nil && used != want {
			g.Findings.Add(finding.TornMemory.At("VA "+p.PRCB.String(),
				"processor %d used other page tables than the process that is current in memory has: memory and registers are of different moments", p.Index).Because(fmt.Sprintf("it used those at %#x, the process has %#x", uint64(used), uint64(want))))
			return // of one it is enough
		}
	}
}
