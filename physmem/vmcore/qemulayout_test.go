package vmcore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// machine is a guest as QEMU dumps it with paging on: the RAM blocks back to
// back, whole or cut by a filter, and PT_LOADs for some mappings.
type machine struct {
	blocks []physmem.Range // ascending, disjoint
	filter *physmem.Range  // begin and length of dump-guest-memory, nil for none
	loads  []load          // file offsets from the start of memory
}

// saved returns the blocks as the file has them.
func (q *machine) saved() []physmem.Range {
	if q.filter == nil {
		return q.blocks
	}
	var out []physmem.Range
	for _, b := range q.blocks {
		start, end := max(b.Start, q.filter.Start), min(b.End(), q.filter.End())
		if start < end {
			out = append(out, physmem.Range{Start: start, Size: end - start})
		}
	}
	return out
}

// offset returns where the file has the byte at pa, from the start of memory.
func (q *machine) offset(pa uint64) (uint64, bool) {
	at := uint64(0)
	for _, b := range q.saved() {
		if b.Contains(pa) {
			return at + pa - b.Start, true
		}
		at += b.Size
	}
	return 0, false
}

// size returns the size of the file's memory.
func (q *machine) size() (n uint64) {
	for _, b := range q.saved() {
		n += b.Size
	}
	return n
}

// mapped adds the PT_LOAD of a mapping, as get_offset_range of QEMU's
// dump/dump.c computes it.
func (q *machine) mapped(pa, size uint64) {
	if f := q.filter; f != nil {
		start, end := max(pa, f.Start), min(pa+size, f.End())
		if start >= end {
			return
		}
		pa, size = start, end-start
	}
	l := load{vaddr: 0xffff800000000000 + 3*pa, paddr: pa, memsz: size, off: ^uint64(0)}
	for _, b := range q.saved() {
		if b.Contains(pa) {
			l.off, _ = q.offset(pa)
			l.filesz = min(size, b.End()-pa)
		}
	}
	q.loads = append(q.loads, l)
}

// builder returns the file, the memory of which is not there but zeros.
func (q *machine) builder() *builder {
	return &builder{notes: fixture.CPUNotes(1), loads: q.loads}
}

// open opens the file.
func (q *machine) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := q.tryOpen()
	require.NoError(tb, err)
	return m
}

func (q *machine) tryOpen() (*physmem.Image, error) {
	b := q.builder()
	b.memorySize = q.size()
	head := b.build()
	size := int64(b.memoryOffset()+q.size()) + int64(len(shstrtab))
	return physmemtest.OpenReader(fixture.Sparse{Head: head[:len(head)-len(shstrtab)], Size: size}, size, open.Options{})
}

// wrong returns an error if the image has a byte anywhere else than where the
// machine's memory has it.
func (q *machine) wrong(m *physmem.Image) error {
	memAt := q.builder().memoryOffset()
	for _, e := range slices.Collect(m.Extents(0)) {
		for pa := e.Start; pa < e.End(); {
			off, ok := q.offset(pa)
			if !ok || memAt+off != uint64(e.Offset)+pa-e.Start {
				return fmt.Errorf("extent %+v: physical address 0x%x: truly at offset 0x%x of the memory (there: %v)", e, pa, off, ok)
			}
			// The rest of its block is right too, as far as the extent goes.
			for _, b := range q.saved() {
				if b.Contains(pa) {
					pa = min(b.End(), e.End())
					break
				}
			}
		}
	}
	return nil
}

// missing returns the parts of ram that the image does not hold.
func missing(m *physmem.Image, ram []physmem.Range) []physmem.Range {
	var out []physmem.Range
	for _, r := range ram {
		out = append(out, m.Missing(r)...)
	}
	return out
}

// r returns the range between two addresses.
func r(start, end uint64) physmem.Range { return physmem.Range{Start: start, Size: end - start} }

// pc returns the RAM blocks of QEMU's pc and q35 machines (observed with QEMU
// 7.2): RAM below and above 4 GiB, the BIOS, and with a VGA card its memory and
// the hole of the legacy VGA range.
func pc(vga bool, low, high uint64) []physmem.Range {
	bios := r(0xfffc0000, 0x100000000)
	blocks := []physmem.Range{r(0, low), bios}
	if vga {
		blocks = []physmem.Range{r(0, 0xa0000), r(0xc0000, low), r(0xfd000000, 0xfe000000), bios}
	}
	if high > 0 {
		blocks = append(blocks, r(0x100000000, 0x100000000+high))
	}
	return blocks
}
