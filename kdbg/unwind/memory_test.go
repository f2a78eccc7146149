package unwind

import (
	"encoding/binary"
	"errors"

	"windmp/vtop"
)

// memory is a guest's, with page tables of x64 that are made as pages are written.
type memory struct {
	pages map[uint64]*[pageSize]byte // by physical page number
	next  uint64
}

const pageSize = 0x1000

var errHole = errors.New("nothing there")

func newMemory() *memory {
	m := &memory{pages: map[uint64]*[pageSize]byte{}}
	m.page() // the root is page 1
	return m
}

func (m *memory) page() uint64 {
	m.next++
	m.pages[m.next] = new([pageSize]byte)
	return m.next
}

func (m *memory) space() *vtop.Space { return vtop.NewSpace(m, 1<<12, vtop.X64) }

// ReadAt reads physical memory.
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		at := uint64(off) + uint64(done)
		page, ok := m.pages[at>>12]
		if !ok {
			return done, errHole
		}
		done += copy(p[done:], page[at&(pageSize-1):])
	}
	return len(p), nil
}

// entry is the place of the entry of the page table that maps va.
func (m *memory) entry(va vtop.VA) []byte {
	table := uint64(1)
	for shift := 39; ; shift -= 9 {
		e := m.pages[table][8*(uint64(va)>>shift&511):]
		if shift == 12 {
			return e
		}
		if binary.LittleEndian.Uint64(e) == 0 {
			binary.LittleEndian.PutUint64(e, m.page()<<12|3)
		}
		table = binary.LittleEndian.Uint64(e) >> 12
	}
}

// write maps what is not mapped.
func (m *memory) write(va vtop.VA, b []byte) {
	for len(b) > 0 {
		e := m.entry(va)
		if binary.LittleEndian.Uint64(e) == 0 {
			binary.LittleEndian.PutUint64(e, m.page()<<12|3)
		}
		n := copy(m.pages[binary.LittleEndian.Uint64(e)>>12][va&(pageSize-1):], b)
		va, b = va+vtop.VA(n), b[n:]
	}
}

func (m *memory) write64(va vtop.VA, values ...uint64) {
	for i, v := range values {
		m.write(va+vtop.VA(8*i), binary.LittleEndian.AppendUint64(nil, v))
	}
}

// unmap takes the page at va away.
func (m *memory) unmap(va vtop.VA) { clear(m.entry(va)[:8]) }
