package vmcore_test

import (
	"debug/elf"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/elfbuild"
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
	phoff    = 0xc0
	shstrtab = "\x00.shstrtab\x00"
)

// noteBytes returns the notes, and the size of the first one.
func (b *builder) noteBytes() (all []byte, first int) {
	for i, n := range b.notes {
		all = n.AppendTo(all)
		if i == 0 {
			first = len(all)
		}
	}
	return all, first
}

// core is what the file is laid out of.
func (b *builder) core() *elfbuild.Core {
	notes, first := b.noteBytes()
	c := &elfbuild.Core{
		Notes: [][]byte{notes}, Memory: [][]byte{b.memory}, MemorySize: b.memorySize,
		QEMU: true, NotesLast: b.notesLast, XNum: b.xnum, Mutate: b.mutate,
	}
	if b.twoNotes {
		c.Notes = [][]byte{notes[:first], notes[first:]}
	}
	for _, l := range b.loads {
		c.Loads = append(c.Loads, elfbuild.Load{VA: l.vaddr, PA: l.paddr, At: l.off, FileSize: l.filesz, MemSize: l.memsz})
	}
	return c
}

// memoryOffset returns the file offset of the memory.
func (b *builder) memoryOffset() uint64 { return b.core().MemoryOffset() }

func (b *builder) phnum() int {
	c := b.core()
	return len(c.Notes) + len(c.Loads)
}

// build returns the file.
func (b *builder) build() []byte { return b.core().Build() }

// open opens the built file.
func (b *builder) open(tb testing.TB) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.Open(b.build())
	require.NoError(tb, err)
	return m
}
