package migration

import (
	"encoding/binary"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

const (
	// fixedSize is the size of the header of a block (QEMU migration/ram.c,
	// MappedRamHeader): version u32, page size, offset of the bitmap and of the
	// pages u64 each, packed.
	fixedSize    = 28
	fixedVersion = 1
	// maxBitmap caps the bitmap of a block: 1 TiB of memory.
	maxBitmap = 32 << 20
)

// fixed reads the header of a block that has its place in the file, and its bitmap, and
// goes on behind its pages. The offsets in it are those of the file, whatever is in front
// of the stream.
func (r *ram) fixed(b *ramblock.Block) error {
	c := r.c
	at := c.pos
	h, err := c.take(fixedSize)
	if err != nil {
		return err
	}
	be := binary.BigEndian
	version, page, bitmapAt, pages := be.Uint32(h), be.Uint64(h[4:]), be.Uint64(h[12:]), be.Uint64(h[20:])
	words := (b.Pages() + 63) / 64
	switch {
	case version != fixedVersion || page != pageSize:
		return malformed(at, "mapped-ram header", "version %d, pages of 0x%x bytes", version, page)
	case pages < c.pos || pages > ramblock.MaxOffset || bitmapAt < c.pos:
		return malformed(at, "mapped-ram header", "bitmap at 0x%x, pages at 0x%x", bitmapAt, pages)
	case words*8 > maxBitmap:
		return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream with a block %q of %s, more than is read of one", b.Name, binio.Bytes(b.Size))}
	case !c.has.Has(bitmapAt, words*8):
		return errCut
	}
	physmem.ReadsTable(c.src, words*8)
	bitmap, err := binio.ReadBytes(c.src, bitmapAt, words*8, maxBitmap)
	if err != nil {
		return &physmem.ReadError{Offset: int64(bitmapAt), Err: err} //nolint:gosec // inside the file
	}
	r.index.Fixed(b, bitmap, pages)
	c.pos = pages
	return c.skip(b.Size)
}
