package migration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

// Flags of a word of the section "ram", beside the address of a page in its block
// (QEMU migration/ram.c, RAM_SAVE_FLAG_*).
const (
	flagZero     = 0x002
	flagSizes    = 0x004
	flagPage     = 0x008
	flagEnd      = 0x010
	flagContinue = 0x020
	flagXBZRLE   = 0x040
	flagPacked   = 0x100
	flagFlush    = 0x200
	flags        = pageSize - 1
)

const (
	ramVersion = 4
	pageSize   = physmem.PageSize
	// maxBlocks caps the blocks of memory; a machine has some tens.
	maxBlocks = 1 << 12
)

// ram is the section "ram": the blocks, and where their pages are.
type ram struct {
	c      *cursor
	blocks []*ramblock.Block
	byName map[string]*ramblock.Block
	index  ramblock.Index
	// isFixed is set by the capability mapped-ram, isShared by x-ignore-shared.
	isFixed, isShared bool
	complete          bool // its last list was read
	foretold          bool // it was said that all of the file is read

	last *ramblock.Block // of the word before: it lives on over lists
}

// foretell says once that the stream is walked to its end: pages lie between the words
// that say which they are. In mapped-ram they lie elsewhere.
func (r *ram) foretell() error {
	if r.foretold || r.isFixed {
		return nil
	}
	r.foretold = true
	f, ok := r.c.src.(physmem.Foreteller)
	if !ok {
		return nil
	}
	return f.ReadsAll(r.c.src.Size() - int64(r.c.pos)) //nolint:gosec // inside the file
}

// list reads a list of words up to its end.
func (r *ram) list() error {
	for {
		at := r.c.pos
		word, err := r.c.u64()
		if err != nil {
			return err
		}
		address, f := word&^flags, word&flags
		switch f &^ flagContinue {
		case flagEnd:
			return nil
		case flagFlush:
		case flagSizes:
			err = r.sizes(address, at)
		case flagZero, flagPage, flagXBZRLE, flagPacked:
			err = r.page(address, f, at)
		default:
			return malformed(at, "section ram: flags of a word", "0x%x", f)
		}
		switch {
		case err != nil:
			return err
		case r.index.Full():
			return &physmem.UnsupportedError{
				Format: physmem.FormatMigration, What: fmt.Sprintf(
					"a migration stream whose pages lie in more places than are kept (%s for where they are)", binio.Bytes(r.index.Bytes())),
				Hint: "stop the guest before it is saved: its pages come in order then",
			}
		}
	}
}

// page takes the page of a word, and what follows it.
func (r *ram) page(address, f, at uint64) error {
	if f&flagContinue == 0 {
		name, err := r.c.name()
		if err != nil {
			return err
		}
		if r.last = r.byName[name]; r.last == nil {
			return malformed(at, "section ram: block", "%q, which is not in the list of blocks", name)
		}
	}
	b := r.last
	switch {
	case b == nil:
		return malformed(at, "section ram: block", "none, as in the word before it, and there is no such")
	case address >= b.Size:
		return malformed(at, "section ram: page", "0x%x in block %q of 0x%x bytes", address, b.Name, b.Size)
	}
	page := address / pageSize
	switch f &^ flagContinue {
	case flagXBZRLE:
		return r.xbzrle(b, page)
	case flagPacked:
		return r.packed(b, page)
	case flagZero:
		fill, err := r.c.u8()
		if err != nil {
			return err
		}
		if fill != 0 {
			return malformed(at, "section ram: page of one byte", "0x%x, which only QEMU before 2009 wrote", fill)
		}
		r.index.Zero(b, page, r.c.pos)
		return nil
	default:
		if err := r.c.skip(pageSize); err != nil {
			return err
		}
		r.index.Plain(b, page, r.c.pos)
		return nil
	}
}

// xbzrle takes the changes of a page.
func (r *ram) xbzrle(b *ramblock.Block, page uint64) error {
	at := r.c.pos
	head, err := r.c.take(ramblock.XBZRLEHeader)
	if err != nil {
		return err
	}
	size := binary.BigEndian.Uint16(head[1:])
	if head[0] != ramblock.XBZRLEEncoding || size > pageSize {
		return malformed(at, "section ram: XBZRLE", "encoding 0x%x, 0x%x bytes", head[0], size)
	}
	if err := r.c.skip(uint64(size)); err != nil {
		return err
	}
	if !r.index.Changed(b, page, at) {
		return malformed(at, "section ram: XBZRLE", "a change of page 0x%x of block %q, which was not sent before", page, b.Name)
	}
	return nil
}

// packed takes a compressed page.
func (r *ram) packed(b *ramblock.Block, page uint64) error {
	at := r.c.pos
	size, err := r.c.u32()
	if err != nil {
		return err
	}
	if size == 0 || size > ramblock.MaxPacked {
		return malformed(at, "section ram: compressed page", "0x%x bytes", size)
	}
	if err := r.c.skip(uint64(size)); err != nil {
		return err
	}
	r.index.Packed(b, page, at)
	return nil
}

// sizes reads the list of blocks, whose sizes have a sum.
func (r *ram) sizes(sum, at uint64) error {
	if len(r.blocks) > 0 {
		return malformed(at, "section ram: list of blocks", "another one")
	}
	for sum > 0 {
		at := r.c.pos
		name, err := r.c.name()
		if err != nil {
			return err
		}
		size, err := r.c.u64()
		if err != nil {
			return err
		}
		switch {
		case size == 0 || size > sum || size%pageSize != 0 || size > physmem.MaxAddress:
			return malformed(at, "section ram: list of blocks", "block %q of 0x%x bytes, 0x%x are left", name, size, sum)
		case r.byName[name] != nil:
			return malformed(at, "section ram: list of blocks", "two blocks %q", name)
		case len(r.blocks) == maxBlocks:
			return malformed(at, "section ram: list of blocks", "more than %d", maxBlocks)
		}
		sum -= size
		b := ramblock.NewBlock(name, size)
		if r.byName == nil {
			r.byName = make(map[string]*ramblock.Block)
		}
		r.blocks, r.byName[name] = append(r.blocks, b), b
		if err := r.more(b); err != nil {
			return err
		}
	}
	return nil
}

// more reads what the capabilities add to a block of the list.
func (r *ram) more(b *ramblock.Block) error {
	if r.isShared {
		// The block's address in the machine where it is shared, else 0.
		if _, err := r.c.u64(); err != nil {
			return err
		}
	}
	if r.isFixed {
		return r.fixed(b)
	}
	return nil
}

// shared are the blocks of a list that are not in the stream because the guest shared
// them with its host; QEMU sends all others whole, zeros too.
func (r *ram) shared(list []*ramblock.Block) []*ramblock.Block {
	if !r.isShared {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list), func(b *ramblock.Block) bool { return !b.IsEmpty() || b.Size < leastPlugged })
}

// malformed is the error for what can't be at a file offset.
func malformed(at uint64, field, format string, args ...any) error {
	off, _ := binio.Int64(at)
	return &physmem.FormatError{Format: physmem.FormatMigration, Offset: off, Field: field, Got: fmt.Sprintf(format, args...)}
}

// isCut reports whether an error says that the file ends too early.
func isCut(err error) bool { return errors.Is(err, errCut) }
