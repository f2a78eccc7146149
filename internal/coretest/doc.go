// Package coretest writes memory images for tests: what other programs than
// QEMU would have written of a guest, made from an image that QEMU wrote. Its
// writers share no code with the readers in package physmem: every offset is a
// number, taken from the sources that each writer names.
package coretest

import (
	"encoding/binary"
	"testing"

	"windmp/internal/elfbuild"
	"windmp/internal/testheap"
	"windmp/physmem"
)

var le = binary.LittleEndian

// Memory returns what the image holds, range by range.
func Memory(tb testing.TB, m *physmem.Image) [][]byte {
	tb.Helper()
	ranges := m.Ranges()
	list := make([][]byte, 0, len(ranges))
	for _, r := range ranges {
		b := testheap.Bytes(tb, int(r.Size))
		if _, err := m.ReadAt(b, int64(r.Start)); err != nil {
			tb.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// build is the file of a core, the test's until its end.
func build(tb testing.TB, c *elfbuild.Core) []byte {
	tb.Helper()
	return c.AppendTo(testheap.Bytes(tb, c.Size())[:0])
}

// core is an ELF64 core of an image's memory, as programs lay it out that write no
// section headers: one PT_NOTE, then the memory range by range, p_vaddr 0.
func core(tb testing.TB, m *physmem.Image, notes []byte) *elfbuild.Core {
	tb.Helper()
	c := &elfbuild.Core{Notes: [][]byte{notes}, Memory: Memory(tb, m)}
	at := uint64(0)
	for _, r := range m.Ranges() {
		c.Loads = append(c.Loads, elfbuild.Load{PA: r.Start, At: at, FileSize: r.Size, MemSize: r.Size})
		at += r.Size
	}
	return c
}
