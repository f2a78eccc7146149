package guestsim

import "encoding/binary"

// tableBase is where [Guest.SetKernelRuns] puts the kernel's table.
const tableBase = 0xffffae8200000000

// SetRuns replaces the table of memory of the header and that of the kernel. RAM stays
// as it is.
func (g *Guest) SetRuns(runs []Range) {
	g.SetHeaderRuns(runs)
	g.SetKernelRuns(runs)
}

// SetHeaderRuns replaces the header's table of memory alone: at most 42 runs.
func (g *Guest) SetHeaderRuns(runs []Range) {
	table := g.header[0x88:0x344]
	clear(table)
	if n := copy(table, descriptor(runs)); n < 16+16*len(runs) {
		panic("guestsim: the header has no room for so many runs")
	}
	binary.LittleEndian.PutUint64(g.header[0xfa0:], HeaderSize+pages(runs)*pageSize)
}

// SetKernelRuns replaces the kernel's own table of memory alone.
func (g *Guest) SetKernelRuns(runs []Range) {
	b := descriptor(runs)
	g.Map(tableBase, uint64(len(b)))
	g.Write(tableBase, b)
	g.Write64(g.Field("MmPhysicalMemoryBlock"), tableBase)
}
