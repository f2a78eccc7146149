package vmcore

import (
	"debug/elf"
	"encoding/binary"
	"io"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// elfLayout is what differs between the tables of ELF64 and those of ELF32
// (System V gABI, chapters 4 and 5). Both are taken into the forms of ELF64.
type elfLayout struct {
	name                  string
	progSize, sectionSize uint64 // bytes of an entry

	// File offsets of header fields, for messages.
	atPhoff, atPhentsize, atPhnum int64

	header  func(b []byte, h *elf.Header64) error
	section func(b []byte, s *elf.Section64) error
	prog    func(b []byte, p *elf.Prog64)
}

var layoutELF64 = elfLayout{
	name: "ELF64", progSize: elfcore.ProgSize, sectionSize: elfcore.SectionSize,
	atPhoff: 0x20, atPhentsize: 0x36, atPhnum: 0x38,
	header: func(b []byte, h *elf.Header64) error {
		_, err := binary.Decode(b, binary.LittleEndian, h)
		return err
	},
	section: func(b []byte, s *elf.Section64) error {
		_, err := binary.Decode(b, binary.LittleEndian, s)
		return err
	},
	prog: func(b []byte, p *elf.Prog64) {
		le := binary.LittleEndian
		*p = elf.Prog64{
			Type: le.Uint32(b), Flags: le.Uint32(b[4:]), Off: le.Uint64(b[8:]), Vaddr: le.Uint64(b[16:]),
			Paddr: le.Uint64(b[24:]), Filesz: le.Uint64(b[32:]), Memsz: le.Uint64(b[40:]), Align: le.Uint64(b[48:]),
		}
	},
}

var layoutELF32 = elfLayout{
	name: "ELF32", progSize: elfcore.ProgSize32, sectionSize: elfcore.SectionSize32,
	atPhoff: 0x1c, atPhentsize: 0x2a, atPhnum: 0x2c,
	header: func(b []byte, h *elf.Header64) error {
		var n elf.Header32
		_, err := binary.Decode(b, binary.LittleEndian, &n)
		*h = elf.Header64{
			Ident: n.Ident, Type: n.Type, Machine: n.Machine, Version: n.Version, Entry: uint64(n.Entry),
			Phoff: uint64(n.Phoff), Shoff: uint64(n.Shoff), Flags: n.Flags, Ehsize: n.Ehsize,
			Phentsize: n.Phentsize, Phnum: n.Phnum, Shentsize: n.Shentsize, Shnum: n.Shnum, Shstrndx: n.Shstrndx,
		}
		return err
	},
	section: func(b []byte, s *elf.Section64) error {
		var n elf.Section32
		_, err := binary.Decode(b, binary.LittleEndian, &n)
		*s = elf.Section64{Name: n.Name, Type: n.Type, Off: uint64(n.Off), Size: uint64(n.Size), Info: n.Info}
		return err
	},
	prog: func(b []byte, p *elf.Prog64) {
		field := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[4*i:])) }
		*p = elf.Prog64{
			Type: uint32(field(0)), Flags: uint32(field(6)), Off: field(1), Vaddr: field(2),
			Paddr: field(3), Filesz: field(4), Memsz: field(5), Align: field(7),
		}
	},
}

// layoutOf returns the layout of a class that checkKind has let pass.
func layoutOf(c elf.Class) *elfLayout {
	if c == elf.ELFCLASS32 {
		return &layoutELF32
	}
	return &layoutELF64
}

// programHeaders is the program header table of a file, which lies in it.
type programHeaders struct {
	r          io.ReaderAt
	off, count uint64
	layout     *elfLayout
}

// each reads the program headers and gives each with its own file offset, until
// yield says no. The header is yield's only during the call.
func (t programHeaders) each(yield func(p *elf.Prog64, at int64) bool) error {
	const batch = 1024
	size := t.layout.progSize
	var p elf.Prog64 // one for all, as it escapes
	physmem.ReadsTable(t.r, t.count*size)
	buf := make([]byte, min(t.count, batch)*size)
	for i := uint64(0); i < t.count; {
		n := min(t.count-i, batch)
		at, _ := binio.Int64(t.off + i*size)
		if err := binio.ReadFull(t.r, buf[:n*size], at); err != nil {
			return &physmem.ReadError{Offset: at, Err: err}
		}
		for b := buf[:n*size]; len(b) > 0; b = b[size:] {
			t.layout.prog(b, &p)
			if !yield(&p, at) {
				return nil
			}
			at += int64(size) //nolint:gosec // 56 or 32
		}
		i += n
	}
	return nil
}
