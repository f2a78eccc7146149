package vmcore

import (
	"cmp"
	"debug/elf"
	"iter"
	"slices"

	"windmp/physmem"
)

// Candidates implements [physmem.Placer].
//
// A part of ram that touches no described memory can lie anywhere between two
// extremes: as low in the file as possible, with nothing else between it and
// the memory below, or as high. These are the candidates. On a PC the hole for
// VGA memory at 0xa0000 is the usual reason: nothing may say where the first
// 640 KiB are when the guest maps none of them.
func (m *pagedMemory) Candidates(ram []physmem.Range) []physmem.Candidate {
	ram = clipRAM(ram)
	gaps := m.layout.gaps(m.List(), ram)
	out := make([]physmem.Candidate, 0, len(gaps))
	for _, g := range gaps {
		out = append(out, g.candidates(physmem.Within(ram, g.span()))...)
	}
	return out
}

// candidates returns the extreme places of each range of RAM in the gap.
func (g gap) candidates(ram []physmem.Range) []physmem.Candidate {
	have := total(ram)
	if have > g.bytes() {
		return nil // a range is none, or a filter or the file's end cut the memory
	}
	hole, ok := g.hole()
	if !ok {
		if !g.last {
			return nil
		}
		hole = 0 // there is RAM behind the last range
	}
	others := g.p2 - g.p1 - have // addresses that are hole or unknown RAM
	rooms := g.rooms(ram, hole)
	var out []physmem.Candidate
	ramBelow := uint64(0)
	for i, r := range ram {
		below := r.Start - g.p1 - ramBelow
		ramBelow += r.Size
		lo, hi := uint64(0), below
		if above := others - below; hole > above {
			lo = hole - above
		}
		if !g.last {
			hi = min(hi, hole)
		}
		c := []physmem.Candidate{{Extent: g.extent(r.Start, r.End(), lo), Why: g.whyLow(lo)}}
		if hi != lo {
			c = append(c, physmem.Candidate{Extent: g.extent(r.Start, r.End(), hi), Why: g.whyHigh(hi, hole)})
		}
		likely, known := rooms.below(i, hole)
		for j := range c {
			c[j].Likely = known && c[j].Bias() == g.extent(r.Start, r.End(), likely).Bias()
		}
		if len(c) == 2 && c[1].Likely {
			slices.Reverse(c)
		}
		out = append(out, c...)
	}
	return out
}

// whyLow says what must be true if there is as little hole as possible, which
// is skipped, below a range of RAM.
func (g gap) whyLow(skipped uint64) string {
	switch {
	case skipped == 0 && g.first:
		return "the file's memory begins at physical address 0"
	case skipped == 0:
		return "the memory below goes on to it without a hole"
	case g.last:
		return "the file's memory ends with the given RAM"
	default:
		return "the file has nothing but the given RAM between it and the memory above"
	}
}

// whyHigh says what must be true if there is as much of the hole as possible,
// which is skipped, below a range of RAM.
func (g gap) whyHigh(skipped, hole uint64) string {
	if skipped == hole && !g.last {
		return "the memory above goes down to it without a hole"
	}
	return "the file has nothing but the given RAM between the memory below and it"
}

// rooms are where in a gap all of its hole has room: in front of the ranges of RAM
// from the first to the last of these indexes, of which the number of ranges stands
// for the room behind all of them. It is not known if first is above last.
type rooms struct{ first, last int }

// rooms looks for them. The end of the last gap is not known, so neither is its
// hole.
func (g gap) rooms(ram []physmem.Range, hole uint64) rooms {
	out := rooms{first: len(ram) + 1}
	if g.last || hole == 0 {
		return out
	}
	at := g.p1
	see := func(i int, start uint64) {
		if start-at >= hole {
			out.first, out.last = min(out.first, i), i
		}
	}
	for i, r := range ram {
		see(i, r.Start)
		at = r.End()
	}
	see(len(ram), g.p2)
	return out
}

// below returns how much of the gap's hole lies below the i-th range of RAM if it
// is all in one place, and whether only one of none and all is possible.
func (r rooms) below(i int, hole uint64) (uint64, bool) {
	if r.first > r.last {
		return 0, false
	}
	below, above := r.first <= i, r.last > i
	if below {
		return hole, !above
	}
	return 0, above
}

// Adopt implements [physmem.Placer].
func (m *pagedMemory) Adopt(candidates []physmem.Candidate) (physmem.Memory, []physmem.Range) {
	sorted := slices.Clone(candidates)
	slices.SortStableFunc(sorted, func(a, b physmem.Candidate) int { return cmp.Compare(a.Start, b.Start) })
	var placed []physmem.Extent
	list := m.List()
	i := 0
	for _, c := range sorted {
		for i < len(list) && list[i].End() <= c.Start {
			i++
		}
		// Its neighbours, of which one may have been placed just now.
		var around []physmem.Extent
		if i > 0 {
			around = append(around, list[i-1])
		}
		if n := len(placed); n > 0 && (i == 0 || placed[n-1].Start > list[i-1].Start) {
			around = placed[n-1 : n : n]
		}
		at := len(around)
		around = append(around, c.Extent)
		if i < len(list) {
			around = append(around, list[i])
		}
		if m.layout.admits(around, at) {
			placed = append(placed, c.Extent)
		}
	}
	return m.with(placed)
}

// admits reports whether the i-th of extents, sorted by their start, may be added
// to the others.
func (l *layout) admits(list []physmem.Extent, i int) bool {
	e := list[i]
	if e.Offset < 0 || len(physmem.Normalize([]physmem.Range{e.Range})) == 0 || e.FileEnd() < e.Size {
		return false
	}
	if i > 0 && list[i-1].End() > e.Start || i+1 < len(list) && e.End() > list[i+1].Start {
		return false // it is there already
	}
	return l.ordered(list)
}

// Mappings implements [physmem.Placer].
func (m *pagedMemory) Mappings() iter.Seq2[physmem.Mapping, error] {
	return func(yield func(physmem.Mapping, error) bool) {
		err := m.layout.progs.each(func(p *elf.Prog64, _ int64) bool {
			if elf.ProgType(p.Type) != elf.PT_LOAD {
				return true
			}
			return yield(physmem.Mapping{VA: p.Vaddr, PA: p.Paddr, Size: p.Memsz}, nil)
		})
		if err != nil {
			yield(physmem.Mapping{}, err)
		}
	}
}
