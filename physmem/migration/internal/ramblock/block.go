// Package ramblock keeps where the pages of a migration stream are, block by block, in a
// few bytes a page, and reads memory that is put together from them.
//
// Sources: QEMU migration/ram.c and xbzrle.c of 7.2 and 10.2, and files of QEMU 7.2, 10.0
// and 11.1. See docs/formats.md.
package ramblock

import (
	"math/bits"
	"slices"

	"windmp/physmem"
)

// A Block is a piece of the machine's memory that has a name: board memory, a DIMM,
// video memory, firmware.
type Block struct {
	// Name is what the stream calls it.
	Name string
	// Size is in bytes, whole pages.
	Size uint64
	// chunks say where the pages are, by number: page/chunkPages.
	chunks map[uint64]*chunk
	// fixed is set where the block has its place in the file (mapped-ram).
	fixed *fixed
}

// NewBlock returns a block of which nothing is known but its name and its size in bytes.
func NewBlock(name string, size uint64) *Block {
	return &Block{Name: name, Size: size, chunks: make(map[uint64]*chunk)}
}

// Pages is how many the block has.
func (b *Block) Pages() uint64 { return b.Size / pageSize }

// locate returns where a page of the block is.
func (b *Block) locate(page uint64) location {
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
func (b *Block) nextData(page, end uint64) uint64 {
	for page < end && b.locate(page) == zero {
		page++
	}
	return page
}

// MaxHoles caps the stretches that a stream lacks of its blocks, 16 bytes each: a
// balloon leaves some thousands.
const MaxHoles = 1 << 20

// present returns the pages of [first, end) that the stream has, as runs; false if there
// are more of them than MaxHoles.
func (b *Block) present(first, end uint64) (runs []physmem.Run, ok bool) {
	if b.fixed != nil {
		return []physmem.Run{{BasePage: first, PageCount: end - first}}, true
	}
	add := func(page, n uint64) bool {
		if k := len(runs); k > 0 && runs[k-1].End() == page {
			runs[k-1].PageCount += n
			return true
		}
		runs = append(runs, physmem.Run{BasePage: page, PageCount: n})
		return len(runs) <= MaxHoles
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

// IsEmpty reports whether the stream has nothing of the block.
func (b *Block) IsEmpty() bool { return b.fixed == nil && len(b.chunks) == 0 }
