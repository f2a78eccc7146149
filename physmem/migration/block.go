package migration

import (
	"math/bits"
	"slices"

	"windmp/physmem"
)

// A block is a piece of the machine's memory that has a name: board memory, a DIMM,
// video memory, firmware.
type block struct {
	name string
	size uint64 // bytes, whole pages
	// chunks say where the pages are, by number: page/chunkPages.
	chunks map[uint64]*chunk
	// fixed is set where the block has its place in the file (mapped-ram).
	fixed *fixed
}

func (b *block) pages() uint64 { return b.size / pageSize }

// locate returns where a page of the block is.
func (b *block) locate(page uint64) location {
	if b.fixed != nil {
		return b.fixed.locate(page)
	}
	c := b.chunks[page/chunkPages]
	if c == nil {
		return missing
	}
	return c.locate(uint16(page % chunkPages))
}

// nextData returns the first page from a page on, below end, that may hold something.
func (b *block) nextData(page, end uint64) uint64 {
	for page < end && b.locate(page) == zero {
		page++
	}
	return page
}

// maxHoles caps the stretches that a stream lacks of its blocks, 16 bytes each: a
// balloon leaves some thousands.
const maxHoles = 1 << 20

// present returns the pages of [first, end) that the stream has, as runs; false if there
// are more of them than maxHoles.
func (b *block) present(first, end uint64) (runs []physmem.Run, ok bool) {
	if b.fixed != nil {
		return []physmem.Run{{BasePage: first, PageCount: end - first}}, true
	}
	add := func(page, n uint64) bool {
		if k := len(runs); k > 0 && runs[k-1].End() == page {
			runs[k-1].PageCount += n
			return true
		}
		runs = append(runs, physmem.Run{BasePage: page, PageCount: n})
		return len(runs) <= maxHoles
	}
	numbers := make([]uint64, 0, len(b.chunks))
	for n := range b.chunks {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		c, at := b.chunks[n], n*chunkPages
		if at >= first && at+chunkPages <= end && c.isFull() {
			if !add(at, chunkPages) {
				return nil, false
			}
			continue
		}
		for i := range uint16(chunkPages) {
			if page := at + uint64(i); page >= first && page < end && c.have.has(i) && !add(page, 1) {
				return nil, false
			}
		}
	}
	return runs, true
}

// isFull reports whether all pages of the chunk are there.
func (c *chunk) isFull() bool {
	for _, w := range c.have {
		if bits.OnesCount64(w) != 64 {
			return false
		}
	}
	return true
}

// isEmpty reports whether the stream has nothing of the block.
func (b *block) isEmpty() bool { return b.fixed == nil && len(b.chunks) == 0 }

// shared are the blocks of a list that are not in the stream because the guest shared
// them with its host; QEMU sends all others whole, zeros too.
func (r *ram) shared(list []*block) []*block {
	if !r.isShared {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list), func(b *block) bool { return !b.isEmpty() || b.size < leastPlugged })
}
