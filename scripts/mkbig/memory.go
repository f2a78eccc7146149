package main

import (
	"io"

	"windmp/internal/guestpages"
)

// bigCore is a vmcore that exists only where it is read: a small one, grown by
// memory that resembles a guest's.
type bigCore struct {
	head []byte
	size uint64 // of the memory behind head
	data uint64 // bytes of it that are no holes
}

// pieces is into how many pieces the data is cut when it does not fill the memory:
// they lie at equal distances.
const pieces = 16

// Size is the file's, in bytes.
func (c *bigCore) Size() int64 { return int64(len(c.head)) + int64(c.size) }

// NextData implements physmem.DataFinder.
func (c *bigCore) NextData(off int64) int64 {
	start := int64(len(c.head))
	if off < start || c.data == c.size {
		return off
	}
	stride, each := int64(c.size/pieces), int64(c.data/pieces)
	at := off - start
	if at%stride < each {
		return off
	}
	return min(start+(at/stride+1)*stride, c.Size())
}

// ReadAt implements io.ReaderAt.
func (c *bigCore) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < c.Size() {
		var got int
		if start := int64(len(c.head)); off < start {
			got = copy(p[n:], c.head[off:])
		} else {
			got = c.readMemory(p[n:min(int64(len(p)), int64(n)+c.Size()-off)], uint64(off-start))
		}
		n += got
		off += int64(got)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readMemory reads, from at on in the memory, up to the end of a page, or as many
// whole pages as p takes.
func (c *bigCore) readMemory(p []byte, at uint64) int {
	within := at % guestpages.Size
	if whole := len(p) &^ (guestpages.Size - 1); within == 0 && whole > 0 {
		c.pages(p[:whole], at/guestpages.Size)
		return whole
	}
	var page [guestpages.Size]byte
	c.pages(page[:], at/guestpages.Size)
	return copy(p, page[within:])
}

// pages makes pages, zeros where there is a hole.
func (c *bigCore) pages(p []byte, first uint64) {
	if c.data == c.size {
		guestpages.Fill(p, first)
		return
	}
	for ; len(p) > 0; p, first = p[guestpages.Size:], first+1 {
		at := int64(len(c.head)) + int64(first*guestpages.Size)
		if c.NextData(at) > at {
			clear(p[:guestpages.Size])
			continue
		}
		guestpages.Fill(p[:guestpages.Size], first)
	}
}
