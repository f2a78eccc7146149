package vmcore

import (
	"windmp/physmem"
	"windmp/physmem/extents"
)

// pagedMemory is the memory of a file that holds more than its program headers
// describe.
type pagedMemory struct {
	*extents.Memory
	layout *layout
}

// with returns the memory with more extents, nil if there are none.
func (m *pagedMemory) with(placed []physmem.Extent) (physmem.Memory, []physmem.Range) {
	if len(placed) == 0 {
		return nil, nil
	}
	return &pagedMemory{Memory: m.With(placed), layout: m.layout}, extents.Unite(placed)
}

// Recover implements [physmem.Placer]. What is placed, for each stretch of the file
// between two described ones:
//
//   - all of it, if both neighbours have the same bias (file offset minus
//     physical address): it belongs to their block, or to blocks without holes;
//   - ranges of ram that continue a neighbour, up to where the file's bytes end;
//   - all ranges of ram, if they add up to exactly the bytes that are there.
//
// The first stretch, before all described memory, and the last one obey only
// the rules that hold even if a filter cut the memory below or above. What
// remains may have several places; see Candidates.
func (m *pagedMemory) Recover(ram []physmem.Range) (physmem.Memory, []physmem.Range) {
	return m.with(m.layout.certain(m.List(), clipRAM(ram)))
}

// clipRAM returns ram sorted and united, without what is above the physical
// addresses of x86.
func clipRAM(ram []physmem.Range) []physmem.Range {
	return physmem.Within(physmem.Normalize(ram), physmem.Range{Size: physmem.MaxAddress})
}

// certain returns the extents whose place is proven, sorted.
func (l *layout) certain(list []physmem.Extent, ram []physmem.Range) []physmem.Extent {
	gaps := l.gaps(list, ram)
	out := make([]physmem.Extent, 0, len(gaps))
	for _, g := range gaps {
		out = append(out, l.certainIn(g, physmem.Within(ram, g.span()))...)
	}
	return out
}

// certainIn returns what is proven of one gap, given the RAM in it.
func (l *layout) certainIn(g gap, ram []physmem.Range) []physmem.Extent {
	hole, ok := g.hole()
	switch {
	case !ok && !g.last:
		return nil // more bytes than addresses: not this layout after all
	case hole == 0 && ok && !g.last:
		return []physmem.Extent{g.extent(g.p1, g.p2, 0)}
	}
	// Where a header says that the block ends, more RAM may follow at once (a
	// second block), but then the end says nothing about its place.
	if len(ram) > 0 && ram[0].Start == g.p1 && l.blockEndsAt(g.p1) {
		ram = ram[1:]
	}
	if len(ram) == 0 {
		return nil
	}
	switch {
	case g.first:
		return g.fromRight(ram)
	case g.last:
		return g.fromLeft(ram)
	}
	// RAM that exceeds the bytes proves that one of the ranges is none.
	have := total(ram)
	switch {
	case have > g.bytes():
		return nil
	case have == g.bytes():
		return g.inOrder(ram)
	}
	return append(g.fromLeft(ram), g.fromRight(ram)...)
}

// fromLeft places the RAM that continues the extent below the gap.
func (g gap) fromLeft(ram []physmem.Range) []physmem.Extent {
	r := ram[0]
	if r.Start != g.p1 {
		return nil
	}
	return []physmem.Extent{g.extent(r.Start, r.Start+min(r.Size, g.bytes()), 0)}
}

// fromRight places the RAM that continues the extent above the gap downwards.
func (g gap) fromRight(ram []physmem.Range) []physmem.Extent {
	r := ram[len(ram)-1]
	if r.End() != g.p2 {
		return nil
	}
	start := r.End() - min(r.Size, g.bytes())
	hole, _ := g.hole()
	return []physmem.Extent{g.extent(start, r.End(), hole)}
}

// inOrder places RAM that fills the whole gap.
func (g gap) inOrder(ram []physmem.Range) []physmem.Extent {
	out := make([]physmem.Extent, 0, len(ram))
	at, skipped := g.p1, uint64(0)
	for _, r := range ram {
		skipped += r.Start - at
		out = append(out, g.extent(r.Start, r.End(), skipped))
		at = r.End()
	}
	return out
}
