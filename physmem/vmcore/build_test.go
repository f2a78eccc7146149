package vmcore_test

import (
	"bytes"
	"debug/elf"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// load is a PT_LOAD of a built file.
type load struct {
	vaddr, paddr, filesz, memsz uint64
	off                         uint64 // file offset; in a builder, from the start of memory if relative
}

// builder lays out an ELF core as QEMU 7.2 does: ELF header with e_ehsize 8,
// two section headers, program headers, notes, memory, ".shstrtab". Memory
// begins right behind the notes and is not aligned.
type builder struct {
	notes  []fixture.Note
	loads  []load // off is relative to the start of memory
	memory []byte
	// memorySize says how large the memory is when it is not in memory.
	memorySize uint64

	xnum      bool // force PN_XNUM
	notesLast bool // notes behind the memory
	twoNotes  bool // a PT_NOTE for the first note and one for the others
	mutate    func(h *elf.Header64)
}

const (
	shoff    = 0x40
	phoff    = 0xc0
	shstrtab = "\x00.shstrtab\x00"
)

// noteBytes returns the notes, and the size of the first one.
func (b *builder) noteBytes() (all []byte, first int) {
	for i, n := range b.notes {
		all = append(all, n.Encode()...)
		if i == 0 {
			first = len(all)
		}
	}
	return all, first
}

// memoryOffset returns the file offset of the memory.
func (b *builder) memoryOffset() uint64 {
	notes, _ := b.noteBytes()
	n := uint64(phoff + 56*b.phnum())
	if !b.notesLast {
		n += uint64(len(notes))
	}
	return n
}

func (b *builder) phnum() int {
	if b.twoNotes {
		return len(b.loads) + 2
	}
	return len(b.loads) + 1
}

// build returns the file.
func (b *builder) build() []byte {
	notes, first := b.noteBytes()
	memAt := b.memoryOffset()
	notesAt := uint64(phoff + 56*b.phnum())
	strAt := memAt + max(uint64(len(b.memory)), b.memorySize)
	if b.notesLast {
		notesAt = strAt
		strAt += uint64(len(notes))
	}
	h := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: phoff, Shoff: shoff, Ehsize: 8, Phentsize: 56, Phnum: uint16(b.phnum()),
		Shentsize: 64, Shnum: 2, Shstrndx: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = 2, 1, 1
	var section0 elf.Section64
	if b.xnum || b.phnum() >= 0xffff {
		h.Phnum = 0xffff
		section0.Info = uint32(b.phnum())
	}
	if b.mutate != nil {
		b.mutate(&h)
	}
	var out bytes.Buffer
	out.Write(fixture.Encode(h))
	out.Write(fixture.Encode(section0))
	out.Write(fixture.Encode(elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: strAt, Size: uint64(len(shstrtab))}))
	split := uint64(len(notes))
	if b.twoNotes {
		split = uint64(first)
	}
	pt := elf.Prog64{Type: uint32(elf.PT_NOTE), Off: notesAt, Filesz: split, Memsz: split}
	out.Write(fixture.Encode(pt))
	for _, l := range b.loads {
		out.Write(fixture.Encode(elf.Prog64{
			Type: uint32(elf.PT_LOAD), Off: memAt + l.off, Vaddr: l.vaddr, Paddr: l.paddr, Filesz: l.filesz, Memsz: l.memsz,
		}))
	}
	if b.twoNotes {
		pt.Off, pt.Filesz, pt.Memsz = notesAt+split, uint64(len(notes))-split, uint64(len(notes))-split
		out.Write(fixture.Encode(pt))
	}
	parts := [][]byte{notes, b.memory}
	if b.notesLast {
		parts = [][]byte{b.memory, notes}
	}
	for _, p := range parts {
		out.Write(p)
	}
	out.WriteString(shstrtab)
	return out.Bytes()
}

// open opens the built file.
func (b *builder) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.Open(b.build())
	require.NoError(tb, err)
	return m
}

func openBytes(file []byte) (*physmem.Image, error) {
	return physmemtest.Open(file)
}
