package kdbg

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// Memory is a kernel's memory, before its block is known: an address space, and how
// the machine's kernel lays out what is in it.
type Memory struct {
	Space  *vtop.Space
	Layout *Layout
}

// In returns the kernel's memory as page tables of its machine show it.
func (l *Layout) In(s *vtop.Space) Memory { return Memory{Space: s, Layout: l} }

// Clone returns the same memory, with a space of its own.
func (m Memory) Clone() Memory {
	if m.Space != nil {
		m.Space = new(*m.Space)
	}
	return m
}

// IsKernel reports whether va may be an address of the kernel in this space.
func (m Memory) IsKernel(va vtop.VA) bool { return m.Space.Mode.IsKernel(va) }

// Pointer reads a pointer. Errors are those of [vtop.Space.ReadVirtual].
func (m Memory) Pointer(va vtop.VA) (vtop.VA, error) {
	var b [8]byte
	if _, err := m.Space.ReadVirtual(b[:m.Layout.PointerSize], va); err != nil {
		return 0, err
	}
	return vtop.VA(binary.LittleEndian.Uint64(b[:])), nil
}

// read reads n bytes.
func (m Memory) read(va vtop.VA, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := m.Space.ReadVirtual(b, va)
	return b, err
}

// ReadImage reads the headers of the image mapped at base. Errors are those of
// [peimage.Read].
func (m Memory) ReadImage(base vtop.VA) (*peimage.Image, error) {
	return peimage.Read(m.Space, base, m.Layout.Image)
}

// ImageSize returns SizeOfImage, in bytes, of the image mapped at base. Errors are
// those of [peimage.Size].
func (m Memory) ImageSize(base vtop.VA) (uint32, error) {
	return peimage.Size(m.Space, base, m.Layout.Image)
}

// FindImage returns the image of which va is a part. Errors are those of
// [peimage.Find].
func (m Memory) FindImage(va vtop.VA) (*peimage.Image, error) {
	return peimage.Find(m.Space, va, m.Layout.Image)
}
