// Package coretest writes memory images for tests: what other programs than
// QEMU would have written of a guest, made from an image that QEMU wrote. Its
// writers share no code with the readers in package physmem: every offset is a
// number, taken from the sources that each writer names.
package coretest

import (
	"encoding/binary"
	"testing"

	"windmp/physmem"
)

var le = binary.LittleEndian

// Memory returns what the image holds, range by range.
func Memory(tb testing.TB, m *physmem.Image) [][]byte {
	tb.Helper()
	ranges := m.Ranges()
	list := make([][]byte, 0, len(ranges))
	for _, r := range ranges {
		b := make([]byte, r.Size)
		if _, err := m.ReadAt(b, int64(r.Start)); err != nil { //nolint:gosec // below 2^52
			tb.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// elfCore lays out an ELF64 core of x86-64 as programs do that write no section
// headers: ELF header, one PT_NOTE, PT_LOADs, notes, memory.
type elfCore struct {
	identVersion byte
	flags        uint32 // of program headers
	vaddr        bool   // p_vaddr is p_paddr, not 0
	notes        []byte
	loads        []elfLoad
}

// elfLoad is a PT_LOAD; without memory one of device memory.
type elfLoad struct {
	paddr, size uint64
	memory      []byte
}

func (c *elfCore) build() []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01")
	b[6] = c.identVersion
	le.PutUint16(b[16:], 4)  // ET_CORE
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], uint16(1+len(c.loads))) //nolint:gosec // a few
	at := uint64(64 + 56*(1+len(c.loads)))
	header := func(typ uint32, paddr, filesz, memsz uint64) {
		p := make([]byte, 56)
		le.PutUint32(p, typ)
		le.PutUint32(p[4:], c.flags)
		le.PutUint64(p[8:], at)
		if c.vaddr {
			le.PutUint64(p[16:], paddr)
		}
		le.PutUint64(p[24:], paddr)
		le.PutUint64(p[32:], filesz)
		le.PutUint64(p[40:], memsz)
		b = append(b, p...)
		at += filesz
	}
	header(4, 0, uint64(len(c.notes)), uint64(len(c.notes)))
	for _, l := range c.loads {
		header(1, l.paddr, uint64(len(l.memory)), l.size)
	}
	b = append(b, c.notes...)
	for _, l := range c.loads {
		b = append(b, l.memory...)
	}
	return b
}

// loads are the PT_LOADs of an image's memory.
func loads(tb testing.TB, m *physmem.Image) []elfLoad {
	tb.Helper()
	memory := Memory(tb, m)
	list := make([]elfLoad, 0, len(memory)+1)
	for i, r := range m.Ranges() {
		list = append(list, elfLoad{paddr: r.Start, size: r.Size, memory: memory[i]})
	}
	return list
}
