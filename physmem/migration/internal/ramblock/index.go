package ramblock

import (
	"math/bits"
	"slices"

	"windmp/physmem"
)

// A location says in eight bytes where the content of a page is: the kind in the
// topmost four bits, its place in the others.
type location uint64

// The kinds of locations.
const (
	missing location = iota << kindShift // the stream does not have the page
	zero                                 // a page of zeros, of which it says no more
	plain                                // its bytes, at a file offset
	packed                               // a length and a zlib stream, at a file offset
	changed                              // what it was, and changes: an index into index.changes
)

const (
	kindShift = 60
	placeMask = 1<<kindShift - 1
)

// MaxOffset is the highest file offset that an index can keep.
const MaxOffset = placeMask

func (l location) kind() location { return l &^ placeMask }
func (l location) place() uint64  { return uint64(l & placeMask) }

// A change is what XBZRLE sent of a page: the bytes that differ from the last content.
type change struct {
	at     uint64   // file offset of the record, behind its word
	before location // of the last content
}

// The stream's records (QEMU migration/ram.c): a word of 8 bytes, and a page of 4096 or
// one byte for a page of zeros.
const (
	wordSize   = 8
	pageSize   = physmem.PageSize
	pageRecord = wordSize + pageSize
	zeroRecord = wordSize + 1
)

// MaxPacked caps a compressed page, bytes: zlib's bound for a page (compressBound).
const MaxPacked = pageSize + 64

const (
	// chunkPages is how many pages of a block share a chunk of the index: 2 MiB.
	chunkPages = 512
	// maxStretches is how many stretches a chunk keeps; with more, the places of
	// its pages one by one take less.
	maxStretches = 128
	// maxIndex caps the bytes of the index, of all blocks. A chunk whose pages were
	// sent in order takes some 200 bytes, one whose pages are scattered 4.3 KiB:
	// 64 GiB of scattered pages fit, and more than 1 TiB of such as a stopped guest
	// has.
	maxIndex = 144 << 20
	// maxChanges caps what XBZRLE changed, 16 bytes each.
	maxChanges = 2 << 20
)

// What the parts of the index take, bytes: a chunk with its entry in the map, a stretch,
// the places of a chunk one by one, a change.
const (
	chunkCost   = 192
	stretchCost = 16
	placesCost  = chunkPages * 8
	changeCost  = 16
)

// A stretch are pages of a chunk whose records follow each other in the file, pages of
// zeros among them: where each is follows from which of them are zeros. One of another
// kind than plain has a single page.
type stretch struct {
	// at is where the record of the first page begins, as a location: its word is
	// taken for one without a name.
	at           location
	first, count uint16
}

type bitset [chunkPages / 64]uint64

func (b *bitset) has(i uint16) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b *bitset) set(i uint16)      { b[i/64] |= 1 << (i % 64) }
func (b *bitset) clear(i uint16)    { b[i/64] &^= 1 << (i % 64) }

// count returns how many of [from, to) are set.
func (b *bitset) count(from, to uint16) int {
	n := 0
	for w := from / 64; w*64 < to; w++ {
		x := b[w]
		if w == from/64 {
			x &= ^uint64(0) << (from % 64)
		}
		if to-w*64 < 64 {
			x &= 1<<(to-w*64) - 1
		}
		n += bits.OnesCount64(x)
	}
	return n
}

// A chunk says where chunkPages pages of a block are.
type chunk struct {
	have, zero bitset
	stretches  []stretch             // ascending and disjoint
	places     *[chunkPages]location // in place of them
}

// search returns the index of the first stretch that begins behind a page.
func (c *chunk) search(page uint16) int {
	i, _ := slices.BinarySearchFunc(c.stretches, page, func(s stretch, page uint16) int {
		if s.first <= page {
			return -1
		}
		return 1
	})
	return i
}

// locate returns where a page is.
func (c *chunk) locate(page uint16) location {
	switch {
	case !c.have.has(page):
		return missing
	case c.zero.has(page):
		return zero
	case c.places != nil:
		return c.places[page]
	}
	s := c.stretches[c.search(page)-1] // there is one
	if s.at.kind() != plain {
		return s.at
	}
	return c.record(s, page) + wordSize
}

// record returns where the record of a page of a plain stretch begins.
func (c *chunk) record(s stretch, page uint16) location {
	zeros := c.zero.count(s.first, page)
	return s.at + location(zeros*zeroRecord+(int(page-s.first)-zeros)*pageRecord) //nolint:gosec // at most 2 MiB
}

// remove takes a page out of the stretch that it is in.
func (c *chunk) remove(page uint16) {
	i := c.search(page) - 1
	if i < 0 || page-c.stretches[i].first >= c.stretches[i].count {
		return
	}
	s := &c.stretches[i]
	end := s.first + s.count
	behind := stretch{first: page + 1, count: end - page - 1}
	if behind.count > 0 {
		behind.at = c.record(*s, behind.first)
	}
	s.count = page - s.first
	switch {
	case s.count > 0 && behind.count > 0:
		c.stretches = slices.Insert(c.stretches, i+1, behind)
	case behind.count > 0:
		*s = behind
	case s.count == 0:
		c.stretches = slices.Delete(c.stretches, i, i+1)
	}
}

// An Index says where the pages of all blocks are. Pages come in any order, and again:
// the last one counts.
type Index struct {
	changes   []change
	bytes     uint64 // what it takes
	hasPacked bool

	// What follows if the records go on in order: the page, and the file offset of its
	// record; in is the chunk of the page before, nil where none can follow.
	next, nextAt uint64
	in           *chunk
}

// Full reports whether the index takes more than it may.
func (x *Index) Full() bool { return x.bytes > maxIndex || len(x.changes) > maxChanges }

// Bytes is what the index takes.
func (x *Index) Bytes() uint64 { return x.bytes }

// HasPacked reports whether pages were sent compressed.
func (x *Index) HasPacked() bool { return x.hasPacked }

// HasChanges reports whether pages were sent as changes of what they were.
func (x *Index) HasChanges() bool { return len(x.changes) > 0 }

// Plain takes a page of a block that is there as it is. Its record ends at a file offset.
func (x *Index) Plain(b *Block, page, end uint64) { x.put(b, page, plain, end-pageRecord, end) }

// Zero takes a page of zeros, whose record ends at a file offset.
func (x *Index) Zero(b *Block, page, end uint64) { x.put(b, page, zero, end-zeroRecord, end) }

// Packed takes a compressed page. Its length, u32, is at a file offset, and a zlib stream
// of at most [MaxPacked] bytes behind it.
func (x *Index) Packed(b *Block, page, at uint64) {
	x.in = nil
	x.hasPacked = true
	x.set(b, page, packed, at)
}

// Changed takes what XBZRLE changed of a page, whose record is at a file offset behind
// its word. It is false if the page was not there.
func (x *Index) Changed(b *Block, page, at uint64) bool {
	before := b.locate(page)
	if before == missing {
		return false
	}
	x.in = nil
	x.changes = append(x.changes, change{at: at, before: before})
	x.bytes += changeCost
	x.set(b, page, changed, uint64(len(x.changes)-1)) //nolint:gosec // it has one
	return true
}

// put takes the place of a page with a record from one file offset to another, the cheap
// way if it follows the one before.
func (x *Index) put(b *Block, page uint64, kind location, at, end uint64) {
	goesOn := x.in != nil && page == x.next && at == x.nextAt && page%chunkPages != 0
	if !goesOn || !x.in.extend(uint16(page%chunkPages), kind == zero) {
		x.set(b, page, kind, at)
		x.in = b.chunks[page/chunkPages]
	}
	// A word with a name is no record of the length that is counted on: at is then not
	// where the one before ended, and a new stretch begins.
	x.next, x.nextAt = page+1, end
}

// set takes the place of a page of a block. The record, for pages that are plain or
// zero, begins at a file offset.
func (x *Index) set(b *Block, page uint64, kind location, place uint64) {
	c, i := x.chunk(b, page/chunkPages), uint16(page%chunkPages)
	if c.have.has(i) && c.places == nil {
		c.remove(i)
	}
	at := plain | location(place)
	if kind != zero && kind != plain {
		at = kind | location(place)
	}
	c.have.set(i)
	if c.zero.clear(i); kind == zero {
		c.zero.set(i)
	}
	if c.places != nil {
		if c.places[i] = at; kind == plain {
			c.places[i] += wordSize
		}
		return
	}
	n := cap(c.stretches)
	c.stretches = slices.Insert(c.stretches, c.search(i), stretch{at: at, first: i, count: 1})
	x.bytes += uint64(cap(c.stretches)-n) * stretchCost //nolint:gosec // it does not shrink
	if len(c.stretches) > maxStretches {
		x.spread(c)
	}
}

// extend takes a page whose record follows that of the page before it, which is the last
// that was taken; false if it can't be so and the page is to be set.
func (c *chunk) extend(i uint16, isZero bool) bool {
	if c.places != nil || c.have.has(i) {
		return false
	}
	at := c.search(i) - 1
	if at < 0 {
		return false
	}
	s := &c.stretches[at]
	if s.first+s.count != i || s.at.kind() != plain {
		return false
	}
	s.count++
	if c.have.set(i); isZero {
		c.zero.set(i)
	}
	return true
}

// spread keeps the places of a chunk's pages one by one.
func (x *Index) spread(c *chunk) {
	places := new([chunkPages]location)
	for i := range uint16(chunkPages) {
		places[i] = c.locate(i)
	}
	x.bytes += placesCost - uint64(cap(c.stretches))*stretchCost
	c.stretches, c.places = nil, places
}

// chunk returns the chunk of that number of a block.
func (x *Index) chunk(b *Block, n uint64) *chunk {
	c := b.chunks[n]
	if c == nil {
		c = new(chunk)
		b.chunks[n] = c
		x.bytes += chunkCost
	}
	return c
}
