package vtop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errNotSaved stands for the error of a memory that a file does not hold.
var errNotSaved = errors.New("not in the image")

// guest is guest-physical memory of a few pages, anywhere, with page tables.
type guest struct {
	pages  map[PA]*[0x1000]byte
	bad    map[PA]error // pages whose reading fails in another way
	root   PA
	mode   *Mode
	levels int
	tables PA // the last page taken for a table
}

const (
	flagP   = 1 << 0
	flagRW  = 1 << 1
	flagPS  = 1 << 7
	flagPAT = 1 << 12 // of a large page
	flagNX  = 1 << 63

	size4K = 1 << 12
	size2M = 1 << 21
	size1G = 1 << 30
)

func newGuest(mode *Mode) *guest { return newGuestBelow(mode, 0x7_0000_0000) }

func newGuestBelow(mode *Mode, tables PA) *guest {
	g := &guest{pages: map[PA]*[0x1000]byte{}, bad: map[PA]error{}, mode: mode, levels: len(mode.Levels), tables: tables}
	g.root = g.newTable()
	return g
}

func (g *guest) space() *Space { return NewSpace(g, uint64(g.root), g.mode) }

// newTable takes pages downwards and with gaps, so that nothing that is
// adjacent in virtual memory is so in physical memory by chance.
func (g *guest) newTable() PA {
	g.tables -= 0x3000
	g.page(g.tables)
	return g.tables
}

func (g *guest) page(pa PA) *[0x1000]byte {
	pa &^= 0xfff
	if g.pages[pa] == nil {
		g.pages[pa] = new([0x1000]byte)
	}
	return g.pages[pa]
}

func (g *guest) entry(pa PA) uint64 {
	return binary.LittleEndian.Uint64(g.page(pa)[pa&0xfff:])
}

func (g *guest) setEntry(pa PA, v uint64) {
	binary.LittleEndian.PutUint64(g.page(pa)[pa&0xfff:], v)
}

// at returns where the entry of a level for va stands, making tables on the
// way.
func (g *guest) at(va VA, level int) PA {
	table := g.root
	for l := g.levels; ; l-- {
		pa := table + 8*PA(uint64(va)>>(12+9*(l-1))%512)
		if l == level {
			return pa
		}
		if g.entry(pa) == 0 {
			g.setEntry(pa, uint64(g.newTable())|flagP|flagRW)
		}
		table = PA(g.entry(pa)) & 0x000f_ffff_ffff_f000
	}
}

// put writes an entry of any form for va on a level and returns its address.
func (g *guest) put(va VA, level int, entry uint64) PA {
	pa := g.at(va, level)
	g.setEntry(pa, entry)
	return pa
}

// mapPage maps a page of 4 KiB, 2 MiB or 1 GiB.
func (g *guest) mapPage(va VA, pa PA, size uint64, flags uint64) PA {
	switch size {
	case size4K:
		return g.put(va, 1, uint64(pa)|flags|flagP)
	case size2M:
		return g.put(va, 2, uint64(pa)|flags|flagP|flagPS)
	case size1G:
		return g.put(va, 3, uint64(pa)|flags|flagP|flagPS)
	}
	panic(fmt.Sprintf("no page has 0x%x bytes", size))
}

// write puts bytes into physical memory.
func (g *guest) write(pa PA, b []byte) {
	for i, c := range b {
		p := pa + PA(i)
		g.page(p)[p&0xfff] = c
	}
}

// ReadAt is that of an image: what is not there is an error, with the bytes
// before it.
func (g *guest) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	for n := 0; n < len(p); {
		pa := PA(off) + PA(n)
		if err := g.bad[pa&^0xfff]; err != nil {
			return n, err
		}
		page := g.pages[pa&^0xfff]
		if page == nil {
			return n, fmt.Errorf("physical address %v: %w", pa, errNotSaved)
		}
		n += copy(p[n:], page[pa&0xfff:])
	}
	return len(p), nil
}

var _ io.ReaderAt = (*guest)(nil)
