package vmcore

import (
	"debug/elf"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
)

// layout is what is known of a file that holds more memory than its program
// headers describe: QEMU's dump with paging on (QEMU dump/dump.c, 7.2).
//
// QEMU then writes a PT_LOAD for every mapping of the processors' current page
// tables, but as memory always the whole RAM: all RAM blocks back to back, in
// ascending physical order, right behind the notes and up to the string table
// that ends the file. With a begin/length filter the blocks are clipped to it,
// which only concerns the start of the first and the end of the last one.
//
// So the bias, file offset minus physical address, is constant in a block and
// falls from each block to the next by the size of the hole between them; two
// blocks without a hole share it. Everything that Recover does follows from
// that.
type layout struct {
	start, end uint64   // file offsets of the memory
	blockEnds  []uint64 // physical addresses at which a RAM block ends, sorted

	progs programHeaders
}

// qemuLayout returns the layout of the file, nil if it is not QEMU's with
// paging on or if the headers describe everything.
func (f *elfFile) qemuLayout(list []physmem.Extent) *layout {
	// With paging off QEMU describes every byte, at p_vaddr 0 or p_paddr.
	paged := f.loads.paged || len(f.loads.ends) > 0
	if !paged || len(f.notes.qemu) == 0 || len(f.notes.segments) != 1 || f.loads.clashing {
		return nil
	}
	notes := f.notes.segments[0]
	l := &layout{
		start: notes.off + notes.size, end: f.memoryEnd(),
		progs: f.progs,
	}
	if l.start < notes.off || l.start >= l.end || !l.ordered(list) || described(list) == l.end-l.start {
		return nil
	}
	slices.Sort(f.loads.ends)
	l.blockEnds = slices.Clip(slices.Compact(f.loads.ends))
	return l
}

// blockEndsAt reports whether a header says that a RAM block ends at pa.
func (l *layout) blockEndsAt(pa uint64) bool {
	_, found := slices.BinarySearch(l.blockEnds, pa)
	return found
}

// memoryEnd returns the file offset behind the memory: that of the section
// name table, which QEMU writes last since 7.2, or the end of the file.
func (f *elfFile) memoryEnd() uint64 {
	i, n := uint64(f.hdr.Shstrndx), uint64(f.hdr.Shnum)
	tableSize := n * f.layout.sectionSize
	if uint64(f.hdr.Shentsize) != f.layout.sectionSize || i >= n || !binio.Within(f.hdr.Shoff, tableSize, f.size) {
		return f.size
	}
	var sh elf.Section64
	if err := f.section(i, &sh); err != nil || elf.SectionType(sh.Type) != elf.SHT_STRTAB {
		return f.size
	}
	return min(sh.Off, f.size)
}

// ordered reports whether the extents, sorted by address, lie in the file as
// blocks back to back do.
func (l *layout) ordered(list []physmem.Extent) bool {
	at := l.start
	for i, e := range list {
		if binio.Uint64(e.Offset) < at || e.FileEnd() > l.end {
			return false
		}
		if i > 0 && int64(e.Bias()) > int64(list[i-1].Bias()) { //nolint:gosec // a signed difference
			return false
		}
		at = e.FileEnd()
	}
	return true
}

// described returns how many bytes the extents have.
func described(list []physmem.Extent) uint64 {
	var n uint64
	for _, e := range list {
		n += e.Size
	}
	return n
}

// gap is a stretch of the file between two neighbouring extents, or before the
// first or behind the last one, whose physical addresses are to be found.
type gap struct {
	f1, f2 uint64 // file offsets
	p1, p2 uint64 // the physical addresses that it can have
	first  bool   // before the first extent: a filter may begin above p1
	last   bool   // behind the last extent: p2 is not known, but no run goes above it
}

// bytes returns how many bytes of memory the gap holds in the file.
func (g gap) bytes() uint64 { return g.f2 - g.f1 }

// span returns the physical range of the gap.
func (g gap) span() physmem.Range { return physmem.Span(g.p1, g.p2) }

// hole returns how many of the gap's physical addresses are not in the file,
// and false if there are less addresses than bytes.
func (g gap) hole() (uint64, bool) {
	p := g.p2 - g.p1
	return p - g.bytes(), p >= g.bytes()
}

// extent returns [pa, end) with skipped bytes of the gap's hole below it.
func (g gap) extent(pa, end, skipped uint64) physmem.Extent {
	off, _ := binio.Int64(g.f1 + (pa - g.p1) - skipped)
	return physmem.Extent{Range: physmem.Span(pa, end), Offset: off, Recovered: true}
}

// gaps returns the gaps between the extents that hold anything in the file.
// ram, sorted, says how high the last gap may reach.
func (l *layout) gaps(list []physmem.Extent, ram []physmem.Range) []gap {
	var out []gap
	add := func(g gap) {
		if g.f2 > g.f1 && g.p2 > g.p1 {
			out = append(out, g)
		}
	}
	g := gap{f1: l.start, first: true}
	for _, e := range list {
		g.f2, g.p2 = binio.Uint64(e.Offset), e.Start
		add(g)
		g = gap{f1: e.FileEnd(), p1: e.End()}
	}
	if len(ram) > 0 {
		g.f2, g.p2, g.last = l.end, ram[len(ram)-1].End(), true
		add(g)
	}
	return out
}

// total returns the size of all ranges.
func total(ranges []physmem.Range) uint64 {
	var n uint64
	for _, r := range ranges {
		n += r.Size
	}
	return n
}
