package guestsim

import (
	"encoding/binary"
)

// HeaderSize is the size of DUMP_HEADER64.
const HeaderSize = 0x2000

// Header is the guest's DUMP_HEADER64 as the fwcfg64 driver publishes it. The
// slice is the guest's own: changes show in [Guest.ELF].
func (g *Guest) Header() []byte { return g.header }

// buildHeader writes the header by offset (Microsoft's mindumpdef.h, QEMU's
// win_dump_defs.h, kdmp-parser). Windows fills it with "PAGE" before it sets
// fields.
func (g *Guest) buildHeader() {
	h := make([]byte, HeaderSize)
	for off := 0; off < len(h); off += 4 {
		copy(h[off:], "PAGE")
	}
	put32 := func(off int, v uint32) { binary.LittleEndian.PutUint32(h[off:], v) }
	put64 := func(off int, v uint64) { binary.LittleEndian.PutUint64(h[off:], v) }
	copy(h[4:], "DU64")
	put32(0x08, 0xf)
	put32(0x0c, g.Options.Build)
	put64(0x10, g.DTB)
	if g.Options.PCID {
		put64(0x10, g.DTB|2|1<<63)
	}
	put64(0x18, g.MmPfnDatabase)
	put64(0x20, g.PsLoadedModuleList)
	put64(0x28, g.PsActiveProcessHead)
	put32(0x30, 0x8664)
	put32(0x34, uint32(g.Options.CPUs))
	put32(0x38, 0)
	put64(0x40, g.KDBGCopy)
	for off := 0x48; off < 0x60; off += 8 {
		put64(off, 0)
	}
	put64(0x80, g.KDBG)
	clear(h[0x88:0x344])
	copy(h[0x88:0x344], descriptor(g.runs))
	clear(h[0x348 : 0xf00+0x98])
	put32(0xf98, 1)
	put64(0xfa0, HeaderSize+pages(g.runs)*pageSize)
	put64(0xfa8, SystemTime-600e7)
	put64(0x1030, InterruptTime-600e7)
	put32(0x1040, 1)
	put32(0x1044, 0x110)
	h[0x104d] = 0
	g.header = h
}

// descriptor is PHYSICAL_MEMORY_DESCRIPTOR in its 64-bit form.
func descriptor(runs []Range) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(runs)))
	b = binary.LittleEndian.AppendUint64(b, pages(runs))
	for _, r := range runs {
		b = binary.LittleEndian.AppendUint64(b, r.Start/pageSize)
		b = binary.LittleEndian.AppendUint64(b, r.Size/pageSize)
	}
	return b
}

// Runs lists the physical memory that the header's run table names.
func (g *Guest) Runs() []Range { return g.runs }

func pages(runs []Range) uint64 {
	var n uint64
	for _, r := range runs {
		n += r.Size / pageSize
	}
	return n
}
