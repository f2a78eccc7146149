package physmem

import (
	"debug/elf"
	"fmt"
	"iter"
	"slices"
)

// A Candidate is a supposed place of memory that Recover could not prove. It
// must be confirmed by what the guest itself keeps there before it is adopted.
type Candidate struct {
	Extent // Recovered is set
	// Likely is set if this is the only place that the memory can have,
	// provided that a single hole divides the stretch of the file. That is so
	// unless the machine has memory that neither the program headers nor the
	// given RAM tell of.
	Likely bool
	// Why says what would have to be true.
	Why string
}

// Candidates returns supposed places of those parts of ram that the file may
// hold but Recover did not place, ascending by address, the likely one of each
// part first. It is meant to be called after Recover, with the same ram; and
// Recover again after Adopt, which may prove more.
//
// A part of ram that touches no described memory can lie anywhere between two
// extremes: as low in the file as possible, with nothing else between it and
// the memory below, or as high. These are the candidates. On a PC the hole for
// VGA memory at 0xa0000 is the usual reason: nothing may say where the first
// 640 KiB are when the guest maps none of them.
func (m *Image) Candidates(ram []Range) []Candidate {
	f, ok := m.mem.(*flat)
	if m.layout == nil || !ok {
		return nil
	}
	var out []Candidate
	ram = clipRAM(ram)
	for _, g := range m.layout.gaps(f.table.Load().read, ram) {
		out = append(out, g.candidates(within(ram, g.span()))...)
	}
	return out
}

// candidates returns the extreme places of each range of RAM in the gap.
func (g gap) candidates(ram []Range) []Candidate {
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
	var out []Candidate
	for i, r := range ram {
		below := r.Start - g.p1 - total(ram[:i])
		lo, hi := uint64(0), below
		if above := others - below; hole > above {
			lo = hole - above
		}
		if !g.last {
			hi = min(hi, hole)
		}
		likely, known := g.singleHole(ram, i, hole)
		c := []Candidate{{Extent: g.extent(r.Start, r.End(), lo), Why: g.whyLow(lo)}}
		if hi != lo {
			c = append(c, Candidate{Extent: g.extent(r.Start, r.End(), hi), Why: g.whyHigh(hi, hole)})
		}
		for j := range c {
			c[j].Likely = known && c[j].bias() == g.extent(r.Start, r.End(), likely).bias()
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
		return fmt.Sprintf("the memory below 0x%x goes on to it without a hole", g.p1)
	case g.last:
		return "the file's memory ends with the given RAM"
	default:
		return fmt.Sprintf("the file has nothing but the given RAM between it and physical address 0x%x", g.p2)
	}
}

// whyHigh says what must be true if there is as much of the hole as possible,
// which is skipped, below a range of RAM.
func (g gap) whyHigh(skipped, hole uint64) string {
	if skipped == hole && !g.last {
		return fmt.Sprintf("the memory from 0x%x on goes down to it without a hole", g.p2)
	}
	return fmt.Sprintf("the file has nothing but the given RAM between physical address 0x%x and it", g.p1)
}

// singleHole returns how much of the gap's hole lies below the i-th range of
// RAM if it is all in one place, and whether only one of none and all is
// possible. The end of the last gap is not known, so neither is its hole.
func (g gap) singleHole(ram []Range, i int, hole uint64) (uint64, bool) {
	if g.last || hole == 0 {
		return 0, false
	}
	var below, above bool // is there room for the hole
	at := g.p1
	for j, r := range ram {
		if r.Start-at >= hole {
			below = below || j <= i
			above = above || j > i
		}
		at = r.End()
	}
	above = above || g.p2-at >= hole
	if below == above {
		return 0, false
	}
	if below {
		return hole, true
	}
	return 0, true
}

// Try returns a view of the image in which the candidate's memory is where the
// candidate supposes it, to be examined; m stays as it is. It returns nil if
// the candidate contradicts what is known. The view reads m's file and must
// not be used after m is closed; it need not be closed itself.
func (m *Image) Try(c Candidate) *Image {
	f, ok := m.mem.(*flat)
	if m.layout == nil || !ok || !m.layout.admits(f.table.Load().read, c.Extent) {
		return nil
	}
	view := &Image{size: m.size, content: m.content}
	clone := f.clone()
	clone.place([]Extent{c.Extent})
	view.mem = clone
	return view
}

// Adopt places a candidate's memory and returns what it placed, nothing if the
// candidate contradicts what is known.
func (m *Image) Adopt(c Candidate) []Range {
	return m.place(func(l *layout, list []Extent) []Extent {
		if !l.admits(list, c.Extent) {
			return nil
		}
		return []Extent{c.Extent}
	})
}

// admits reports whether an extent may be added to others.
func (l *layout) admits(list []Extent, e Extent) bool {
	if e.Offset < 0 || e.Size == 0 || len(normalize([]Range{e.Range})) == 0 || e.fileEnd() < e.Size {
		return false
	}
	i, _ := slices.BinarySearchFunc(list, e.Start, func(x Extent, pa uint64) int {
		if x.End() <= pa {
			return -1
		}
		return 1
	})
	if i < len(list) && list[i].Start < e.End() {
		return false // it is there already
	}
	around := slices.Concat(list[max(i, 1)-1:i], []Extent{e}, list[i:min(i+1, len(list))])
	return l.ordered(around)
}

// A Mapping is a stretch of virtual memory that a processor's page tables
// mapped when a dump with paging on was made.
type Mapping struct {
	// VA is the virtual address as QEMU writes it: the low 48 bits are right,
	// but it extends bit 63 and not bit 47, so that user addresses come out
	// with 0xffff on top (observed with QEMU 7.2).
	VA uint64
	PA uint64
	// Size is in bytes. The physical memory behind may reach beyond what the
	// file holds.
	Size uint64
}

// Mappings goes through the page mappings that a dump with paging on lists
// beside its memory, in the file's order. A candidate can be checked against
// them: walking the page tables in a view made by Try must give the same. For
// other files it yields nothing. It reads the file, so it may yield an error.
func (m *Image) Mappings() iter.Seq2[Mapping, error] {
	return func(yield func(Mapping, error) bool) {
		l := m.layout
		if l == nil {
			return
		}
		err := l.progs.each(func(p *elf.Prog64, _ int64) bool {
			if elf.ProgType(p.Type) != elf.PT_LOAD {
				return true
			}
			return yield(Mapping{VA: p.Vaddr, PA: p.Paddr, Size: p.Memsz}, nil)
		})
		if err != nil {
			yield(Mapping{}, err)
		}
	}
}
