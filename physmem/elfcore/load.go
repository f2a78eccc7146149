package physmem

import (
	"cmp"
	"container/heap"
	"debug/elf"
	"slices"

	"windmp/internal/binio"
)

// maxPhysAddr is the end of physical memory that x86-64 can address: 52 bits
// (Intel SDM volume 3, section 4.1.4, MAXPHYADDR).
const maxPhysAddr = 1 << 52

// loadTable collects the PT_LOADs of a file.
//
// Memory is placed by p_paddr, never by p_vaddr, which is 0, the physical or a
// virtual address depending on the writer. p_filesz below p_memsz does not
// mean zeros here, as it does for a program: QEMU writes it when a mapping
// passes the end of a RAM block, or a filter cut it, and VirtualBox with
// p_filesz 0 for device memory. The rest was not saved.
type loadTable struct {
	list     []Extent // in file order, what continues the one before joined to it
	unsorted bool     // list is not ascending and disjoint
	clashing bool     // program headers disagree about the place of memory

	paged bool     // a virtual address is neither 0 nor the physical one
	ends  []uint64 // physical addresses at which p_filesz cuts p_memsz: in QEMU's files, where a RAM block ends

	lowest uint64 // lowest file offset of any memory, if list is not empty
	cut    uint64 // program headers that the end of the file cut
	lost   uint64 // bytes of theirs that are behind it
	cutAt  int64  // file offset of the first such program header
	until  uint64 // file offset that the memory would go up to
}

// add takes one PT_LOAD, whose header is at file offset at, of a file of size
// bytes. A header that makes no sense is left out, with an oddity: it says
// nothing about the others.
func (t *loadTable) add(p *elf.Prog64, at int64, size uint64, odd *oddities) {
	if p.Filesz == 0 {
		return
	}
	end, ok := binio.Sum(p.Off, p.Filesz)
	switch {
	case !ok:
		odd.add(OddityBadSegment, at, "p_offset 0x%x + p_filesz 0x%x wraps; left out", p.Off, p.Filesz)
		return
	case p.Paddr > maxPhysAddr || p.Filesz > maxPhysAddr-p.Paddr:
		odd.add(OddityBadSegment, at, "p_paddr 0x%x + p_filesz 0x%x is above the 52 bits of x86 physical memory; left out", p.Paddr, p.Filesz)
		return
	case p.Filesz > p.Memsz:
		odd.add(OddityBadSegment, at, "p_filesz 0x%x above p_memsz 0x%x; left out", p.Filesz, p.Memsz)
		return
	}
	if p.Vaddr != 0 && p.Vaddr != p.Paddr {
		t.paged = true
	}
	if end := p.Paddr + p.Filesz; p.Filesz < p.Memsz && (len(t.ends) == 0 || t.ends[len(t.ends)-1] != end) {
		t.ends = append(t.ends, end)
	}
	have := binio.Clip(p.Off, p.Filesz, size)
	if have < p.Filesz {
		if t.cut == 0 {
			t.cutAt = at
		}
		t.cut++
		t.lost += p.Filesz - have
		t.until = max(t.until, end)
	}
	if have == 0 {
		return
	}
	if len(t.list) == 0 || p.Off < t.lowest {
		t.lowest = p.Off
	}
	off, _ := binio.Int64(p.Off) // below size, an int64
	t.insert(Extent{Range: Range{Start: p.Paddr, Size: have}, Offset: off})
}

// insert appends an extent, or lets it grow the last one: QEMU sorts mappings
// by physical address, so most of a page-mapping dump melts down here.
func (t *loadTable) insert(e Extent) {
	if n := len(t.list); n > 0 {
		last := &t.list[n-1]
		if last.bias() == e.bias() && e.Start >= last.Start && e.Start <= last.End() {
			last.Size = max(last.End(), e.End()) - last.Start
			return
		}
		t.unsorted = t.unsorted || e.Start < last.End()
	}
	t.list = append(t.list, e)
}

// extents returns the memory sorted and disjoint. Where program headers
// overlap and agree on the place they are united. Where they do not, the one
// that comes first in the file is believed.
func (t *loadTable) extents(odd *oddities) []Extent {
	if t.cut > 0 {
		odd.add(OddityTruncated, t.cutAt,
			"the file ends before the memory of 0x%x program headers, which goes up to file offset 0x%x; 0x%x bytes that they describe are missing",
			t.cut, t.until, t.lost)
	}
	if !t.unsorted {
		return t.list
	}
	pieces := make([]loadPiece, len(t.list))
	for i, e := range t.list {
		pieces[i] = loadPiece{Extent: e, order: i}
	}
	slices.SortFunc(pieces, comparePieces)
	list, clash := uniteAgreeing(pieces)
	if clash == nil {
		return list
	}
	t.clashing = true
	odd.add(OddityConflict, 0,
		"program headers place the memory from physical address 0x%x at file offset 0x%x and at 0x%x; wherever they disagree, the first one in the file is believed",
		clash.pa, clash.offsets[0], clash.offsets[1])
	return paint(pieces)
}

// loadPiece is an extent with its place in the order of the file.
type loadPiece struct {
	Extent
	order int
}

// comparePieces orders pieces by address, and by the order of the file.
func comparePieces(a, b loadPiece) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.order, b.order))
}

// conflict is a byte for which two program headers give different places.
type conflict struct {
	pa      uint64
	offsets [2]int64
}

// uniteAgreeing unites sorted pieces. If two of them give different places for
// the same byte it returns the first such byte.
func uniteAgreeing(sorted []loadPiece) ([]Extent, *conflict) {
	var out []Extent
	for _, p := range sorted {
		if n := len(out); n > 0 && p.Start <= out[n-1].End() {
			last := &out[n-1]
			switch {
			case p.bias() == last.bias():
				last.Size = max(last.End(), p.End()) - last.Start
				continue
			case p.Start < last.End():
				return nil, &conflict{pa: p.Start, offsets: [2]int64{last.at(p.Start, 0).Offset, p.Offset}}
			}
		}
		out = append(out, p.Extent)
	}
	return out, nil
}

// paint resolves sorted pieces that disagree: every byte goes to the piece of
// the lowest order that covers it. It sweeps over the physical addresses with
// the pieces that may cover the current one in a heap.
func paint(sorted []loadPiece) []Extent {
	var (
		out    []Extent
		active byOrder
		at     uint64
	)
	for i := 0; ; {
		for len(active) > 0 && active[0].End() <= at {
			heap.Pop(&active)
		}
		if len(active) == 0 {
			if i == len(sorted) {
				return out
			}
			at = max(at, sorted[i].Start)
		}
		for ; i < len(sorted) && sorted[i].Start <= at; i++ {
			if sorted[i].End() > at {
				heap.Push(&active, sorted[i])
			}
		}
		if len(active) == 0 || active[0].End() <= at {
			continue
		}
		// The winner stays until it ends, or a piece begins that may beat it.
		end := active[0].End()
		if i < len(sorted) {
			end = min(end, sorted[i].Start)
		}
		out = appendExtent(out, active[0].at(at, end-at))
		at = end
	}
}

// appendExtent appends e, joined to the last extent if it continues it.
func appendExtent(list []Extent, e Extent) []Extent {
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.End() == e.Start && last.bias() == e.bias() {
			last.Size += e.Size
			return list
		}
	}
	return append(list, e)
}

// byOrder is a heap of pieces, the first of the file on top.
type byOrder []loadPiece

func (h byOrder) Len() int           { return len(h) }
func (h byOrder) Less(i, j int) bool { return h[i].order < h[j].order }
func (h byOrder) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *byOrder) Push(x any) {
	if p, ok := x.(loadPiece); ok {
		*h = append(*h, p)
	}
}

func (h *byOrder) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
