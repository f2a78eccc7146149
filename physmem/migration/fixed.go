package migration

import (
	"encoding/binary"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// fixed is a block that has its place in the file (capability mapped-ram): page k is
// at pages + 4096 k. A page that is sent again overwrites itself.
type fixed struct {
	// bitmap has a bit for each page that is not all zeros, whatever lies at its
	// place; little-endian.
	bitmap []byte
	pages  uint64 // file offset
}

// locate returns where a page is.
func (f *fixed) locate(page uint64) location {
	if f.bitmap[page/8]>>(page%8)&1 == 0 {
		return zero
	}
	return plain | location(f.pages+page*pageSize)
}

const (
	// fixedSize is the size of the header of a block (QEMU migration/ram.c,
	// MappedRamHeader): version u32, page size, offset of the bitmap and of the
	// pages u64 each, packed.
	fixedSize    = 28
	fixedVersion = 1
	// maxBitmap caps the bitmap of a block: 1 TiB of memory.
	maxBitmap = 32 << 20
)

// readFixed reads the header of a block, and its bitmap, and goes on behind its pages.
// The offsets in it are those of the file, whatever is in front of the stream.
func readFixed(c *cursor, b *block) (*fixed, error) {
	at := c.pos
	h, err := c.take(fixedSize)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	version, page, bitmapAt, f := be.Uint32(h), be.Uint64(h[4:]), be.Uint64(h[12:]), &fixed{pages: be.Uint64(h[20:])}
	words := (b.pages() + 63) / 64
	switch {
	case version != fixedVersion || page != pageSize:
		return nil, malformed(at, "mapped-ram header", "version %d, pages of 0x%x bytes", version, page)
	case f.pages < c.pos || f.pages > placeMask || bitmapAt < c.pos:
		return nil, malformed(at, "mapped-ram header", "bitmap at 0x%x, pages at 0x%x", bitmapAt, f.pages)
	case words*8 > maxBitmap:
		return nil, &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream with a block %q of %s, more than is read of one", b.name, binio.Bytes(b.size))}
	case !c.has.Has(bitmapAt, words*8):
		return nil, errCut
	}
	physmem.ReadsTable(c.src, words*8)
	if f.bitmap, err = binio.ReadBytes(c.src, bitmapAt, words*8, maxBitmap); err != nil {
		return nil, &physmem.ReadError{Offset: int64(bitmapAt), Err: err} //nolint:gosec // inside the file
	}
	c.pos = f.pages
	return f, c.skip(b.size)
}
