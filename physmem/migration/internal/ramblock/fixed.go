package ramblock

// fixed is a block that has its place in the file (capability mapped-ram): page k is
// at pages + 4096 k. A page that is sent again overwrites itself.
type fixed struct {
	// bitmap has a bit for each page that is not all zeros, whatever lies at its
	// place; little-endian.
	bitmap []byte
	pages  uint64 // file offset
}

// Fixed takes a block whose pages all have their places, from a file offset on, and which
// of them are not all zeros: a bit each, little-endian, at least [Block.Pages] of them.
// Of other blocks, pages are taken one by one.
func (x *Index) Fixed(b *Block, bitmap []byte, pages uint64) {
	b.fixed = &fixed{bitmap: bitmap, pages: pages}
	x.bytes += uint64(len(bitmap))
}

// locate returns where a page is.
func (f *fixed) locate(page uint64) location {
	if f.bitmap[page/8]>>(page%8)&1 == 0 {
		return zero
	}
	return plain | location(f.pages+page*pageSize)
}
