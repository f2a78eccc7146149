package vmcore

import (
	"debug/elf"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// loadTable collects the PT_LOADs of a file.
//
// Memory is placed by p_paddr, never by p_vaddr, which is 0, the physical or a
// virtual address depending on the writer. p_filesz below p_memsz does not
// mean zeros here, as it does for a program: QEMU writes it when a mapping
// passes the end of a RAM block, or a filter cut it, and VirtualBox with
// p_filesz 0 for device memory. The rest was not saved.
type loadTable struct {
	list     []physmem.Extent // in file order, what continues the one before joined to it
	unsorted bool             // list is not ascending and disjoint
	clashing bool             // program headers disagree about the place of memory

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
func (t *loadTable) add(p *elf.Prog64, at int64, size uint64, odd *physmem.Oddities) {
	if p.Filesz == 0 {
		return
	}
	end, ok := binio.Sum(p.Off, p.Filesz)
	switch {
	case !ok:
		odd.Add(physmem.OddityBadSegment, at, "a program header claims a part of the file that can't be; it is left out").Because("p_offset 0x%x + p_filesz 0x%x wraps", p.Off, p.Filesz)
		return
	case p.Paddr > physmem.MaxAddress || p.Filesz > physmem.MaxAddress-p.Paddr:
		odd.Add(physmem.OddityBadSegment, at, "a program header is of memory above the 52 bits of physical addresses; it is left out").Because("p_paddr 0x%x + p_filesz 0x%x", p.Paddr, p.Filesz)
		return
	case p.Filesz > p.Memsz:
		odd.Add(physmem.OddityBadSegment, at, "a program header has more in the file than in memory; it is left out").Because("p_filesz 0x%x above p_memsz 0x%x", p.Filesz, p.Memsz)
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
	t.insert(physmem.Extent{Range: physmem.Range{Start: p.Paddr, Size: have}, Offset: off})
}

// insert appends an extent, or lets it grow the last one: QEMU sorts mappings
// by physical address, so most of a page-mapping dump melts down here.
func (t *loadTable) insert(e physmem.Extent) {
	if n := len(t.list); n > 0 {
		last := &t.list[n-1]
		if last.Bias() == e.Bias() && e.Start >= last.Start && e.Start <= last.End() {
			last.Size = max(last.End(), e.End()) - last.Start
			return
		}
		t.unsorted = t.unsorted || e.Start < last.End()
	}
	t.list = append(t.list, e)
}

// noteCut says that a file of size bytes ends before its memory does.
func (t *loadTable) noteCut(size uint64, odd *physmem.Oddities) {
	if t.cut > 0 {
		odd.Add(physmem.OddityTruncated, t.cutAt, "%s", physmem.Cut{Size: size, Whole: t.until}).Because("it ends at file offset 0x%x, its memory would at 0x%x; 0x%x bytes of %s",
			size, t.until, t.lost, binio.Plural(t.cut, "program header"))
	}
}

// extents returns the memory sorted and disjoint. Where program headers
// overlap and agree on the place they are united. Where they do not, the one
// that comes first in the file is believed.
func (t *loadTable) extents(odd *physmem.Oddities) []physmem.Extent {
	if !t.unsorted {
		return t.list
	}
	pieces := make([]extents.Piece, len(t.list))
	for i, e := range t.list {
		pieces[i] = extents.Piece{Extent: e, Order: i}
	}
	list, clash := extents.Resolve(pieces)
	if clash == nil {
		return list
	}
	t.clashing = true
	odd.Add(physmem.OddityConflict, 0,
		"program headers place the same memory at different parts of the file; wherever they disagree, the first one in the file is believed").Because("memory from physical address 0x%x at file offset 0x%x and at 0x%x",
		clash.PA, clash.Offsets[0], clash.Offsets[1])
	return list
}
