package guestsim

import (
	"errors"
	"fmt"
	"io"
)

// ErrHole is what [Guest.Memory] returns for addresses without RAM.
var ErrHole = errors.New("no RAM at this physical address")

// memory is sparse guest-physical memory: RAM blocks of which only pages that
// were written take space.
type memory struct {
	blocks []Range
	pages  map[uint64]*[pageSize]byte
	free   frames
	fails  []failure
}

type failure struct {
	Range
	err error
}

func newMemory(blocks, runs []Range, seed uint64) *memory {
	return &memory{blocks: blocks, pages: map[uint64]*[pageSize]byte{}, free: newFrames(runs, seed)}
}

// alloc takes a zeroed page.
func (m *memory) alloc() uint64 {
	pa := m.free.next()
	m.pages[pa] = new([pageSize]byte)
	return pa
}

// allocBelow takes a zeroed page below an address.
func (m *memory) allocBelow(limit uint64) uint64 {
	pa := m.free.below(limit)
	m.pages[pa] = new([pageSize]byte)
	return pa
}

func (m *memory) block(pa uint64) (Range, bool) {
	for _, b := range m.blocks {
		if b.contains(pa) {
			return b, true
		}
	}
	return Range{}, false
}

// read copies from one page; it says whether there is RAM.
func (m *memory) read(p []byte, pa uint64) (int, error) {
	for _, f := range m.fails {
		if f.contains(pa) {
			return 0, f.err
		}
		if pa < f.Start && f.Start-pa < uint64(len(p)) {
			p = p[:f.Start-pa]
		}
	}
	b, ok := m.block(pa)
	if !ok {
		return 0, fmt.Errorf("%w: %#x", ErrHole, pa)
	}
	n := min(uint64(len(p)), b.End()-pa, pageSize-pa%pageSize)
	page := m.pages[pa&^(pageSize-1)]
	if page == nil {
		clear(p[:n])
	} else {
		copy(p[:n], page[pa%pageSize:])
	}
	return int(n), nil
}

// zeros is a page that was never written.
var zeros [pageSize]byte

// appendParts appends what is in a part of RAM, page by page: the pages themselves, not to
// be changed.
func (m *memory) appendParts(list [][]byte, r Range) [][]byte {
	for pa := r.Start; pa < r.End(); {
		n := min(r.End()-pa, pageSize-pa%pageSize)
		page := m.pages[pa&^(pageSize-1)]
		if page == nil {
			page = &zeros
		}
		list = append(list, page[pa%pageSize:][:n])
		pa += n
	}
	return list
}

func (m *memory) write(pa uint64, b []byte) {
	for len(b) > 0 {
		if _, ok := m.block(pa); !ok {
			panic(fmt.Sprintf("guestsim: write to %#x, where there is no RAM", pa))
		}
		page := m.pages[pa&^(pageSize-1)]
		if page == nil {
			page = new([pageSize]byte)
			m.pages[pa&^(pageSize-1)] = page
		}
		n := copy(page[pa%pageSize:], b)
		b, pa = b[n:], pa+uint64(n)
	}
}

type memoryReader struct{ m *memory }

// ReadAt reads guest-physical memory; what it copied before a hole or an
// injected failure counts.
func (r memoryReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: %#x", ErrHole, uint64(off))
	}
	done := 0
	for done < len(p) {
		n, err := r.m.read(p[done:], uint64(off)+uint64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Memory reads guest-physical memory, offset = physical address. Addresses
// without RAM give an error that wraps [ErrHole].
func (g *Guest) Memory() io.ReaderAt { return memoryReader{g.mem} }

// RAM lists the guest's RAM and ROM blocks, ascending: what a dump holds.
func (g *Guest) RAM() []Range { return g.mem.blocks }

// Fail makes reads of r return err, as a bad disk or a missing part of the file
// would. Writes are not concerned.
func (g *Guest) Fail(r Range, err error) { g.mem.fails = append(g.mem.fails, failure{r, err}) }

// WritePhys writes to guest-physical memory.
func (g *Guest) WritePhys(pa uint64, b []byte) { g.mem.write(pa, b) }

// ReadPhys reads n bytes of guest-physical memory.
func (g *Guest) ReadPhys(pa uint64, n int) []byte {
	b := make([]byte, n)
	if _, err := g.Memory().ReadAt(b, int64(pa)); err != nil {
		panic(err)
	}
	return b
}
