// Package elfbuild lays out ELF64 cores of x86-64 for tests. What stands in their
// notes and their memory is the caller's. It shares nothing with what reads and
// writes cores in the program.
package elfbuild

import (
	"debug/elf"
	"encoding/binary"
)

// Sizes of ELF64 in bytes (System V gABI, chapters 4 and 5).
const (
	headerSize  = 0x40
	progSize    = 56
	sectionSize = 64
)

// sectionNames is the section .shstrtab of QEMU's cores, the name of itself.
const sectionNames = "\x00.shstrtab\x00"

// xnum in e_phnum says that the count is in sh_info of section 0.
const xnum = 0xffff

// Load is a PT_LOAD to be.
type Load struct {
	VA, PA uint64
	// At is where in the core's memory its bytes are: relative to the first of
	// them, not to the file.
	At       uint64
	FileSize uint64
	MemSize  uint64
}

// Core is a core to be. The zero value is a header and an empty table of sections.
type Core struct {
	// Notes are what the PT_NOTEs hold: the first one stands in front of the
	// PT_LOADs, others behind them.
	Notes [][]byte
	Loads []Load
	// Memory are the parts of the memory, one after the other.
	Memory [][]byte
	// MemorySize is the memory's size where the file is to be longer than Memory.
	MemorySize uint64
	// Flags are p_flags of all program headers.
	Flags uint32

	// QEMU adds what QEMU 7.2 writes and others do not: two section headers in
	// front of the program headers, .shstrtab behind everything, and e_ehsize 8,
	// its mistake.
	QEMU bool
	// NotesLast puts the notes behind the memory.
	NotesLast bool
	// XNum puts the number of program headers where it stands when it does not fit
	// into e_phnum.
	XNum bool
	// Mutate changes the header before it is written.
	Mutate func(h *elf.Header64)
}

// programs is the number of program headers.
func (c *Core) programs() uint64 { return uint64(len(c.Notes) + len(c.Loads)) }

// tables is the end of the headers.
func (c *Core) tables() uint64 {
	n := headerSize + progSize*c.programs()
	if c.QEMU {
		n += 2 * sectionSize
	}
	return n
}

// notesSize is the size of all notes.
func (c *Core) notesSize() (n uint64) {
	for _, note := range c.Notes {
		n += uint64(len(note))
	}
	return n
}

// MemoryOffset is the file offset of the memory: right behind what is in front of
// it, and so not aligned.
func (c *Core) MemoryOffset() uint64 {
	if c.NotesLast {
		return c.tables()
	}
	return c.tables() + c.notesSize()
}

// memoryEnd is the file offset behind the memory.
func (c *Core) memoryEnd() uint64 {
	var n uint64
	for _, part := range c.Memory {
		n += uint64(len(part))
	}
	return c.MemoryOffset() + max(n, c.MemorySize)
}

// notesOffset is the file offset of the notes.
func (c *Core) notesOffset() uint64 {
	if c.NotesLast {
		return c.memoryEnd()
	}
	return c.tables()
}

// Size is the size of the file.
func (c *Core) Size() int {
	n := c.tables() + c.notesSize()
	for _, part := range c.Memory {
		n += uint64(len(part))
	}
	if c.QEMU {
		n += uint64(len(sectionNames))
	}
	return int(n)
}

// Build returns the file.
func (c *Core) Build() []byte {
	return c.AppendTo(make([]byte, 0, c.Size())) // what grows is cleared and copied each time
}

// AppendTo appends the file, [Core.Size] bytes, to b.
func (c *Core) AppendTo(b []byte) []byte {
	put := func(v any) {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			panic(err) // a structure of debug/elf has a size
		}
	}
	// There may be many of these, and Append takes fifty times as long.
	program := func(p elf.Prog64) {
		b = binary.LittleEndian.AppendUint32(b, p.Type)
		b = binary.LittleEndian.AppendUint32(b, p.Flags)
		for _, v := range [...]uint64{p.Off, p.Vaddr, p.Paddr, p.Filesz, p.Memsz, p.Align} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	c.putHeader(put)
	at := c.notesOffset()
	for i, note := range c.Notes {
		program(elf.Prog64{
			Type: uint32(elf.PT_NOTE), Flags: c.Flags, Off: at, Filesz: uint64(len(note)), Memsz: uint64(len(note)),
		})
		at += uint64(len(note))
		if i == 0 {
			c.putLoads(program)
		}
	}
	if len(c.Notes) == 0 {
		c.putLoads(program)
	}
	parts := [][][]byte{c.Notes, c.Memory}
	if c.NotesLast {
		parts = [][][]byte{c.Memory, c.Notes}
	}
	for _, list := range parts {
		for _, part := range list {
			b = append(b, part...)
		}
	}
	if c.QEMU {
		b = append(b, sectionNames...)
	}
	return b
}

// putHeader writes the header and QEMU's section headers.
func (c *Core) putHeader(put func(v any)) {
	h := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: headerSize, Ehsize: headerSize, Phentsize: progSize, Phnum: uint16(min(c.programs(), xnum)),
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var null elf.Section64
	if c.XNum || c.programs() >= xnum {
		h.Phnum, null.Info = xnum, uint32(c.programs())
	}
	if c.QEMU {
		h.Shoff, h.Phoff = headerSize, headerSize+2*sectionSize
		h.Ehsize, h.Shentsize, h.Shnum, h.Shstrndx = 8, sectionSize, 2, 1
	}
	if c.Mutate != nil {
		c.Mutate(&h)
	}
	put(h)
	if c.QEMU {
		end := c.memoryEnd()
		if c.NotesLast {
			end += c.notesSize()
		}
		put(null)
		put(elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: end, Size: uint64(len(sectionNames))})
	}
}

func (c *Core) putLoads(put func(elf.Prog64)) {
	memory := c.MemoryOffset()
	for _, l := range c.Loads {
		put(elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: c.Flags, Off: memory + l.At,
			Vaddr: l.VA, Paddr: l.PA, Filesz: l.FileSize, Memsz: l.MemSize,
		})
	}
}
