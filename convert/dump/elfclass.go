package dump

import (
	"debug/elf"
	"math"

	"windmp/internal/elfcore"
)

// classes are those of files: the first holds whatever there is.
var classes = []*elfTables{tables64, tables32}

// elfTables are the structures of one ELF class, as a writer needs them: the sizes
// of file header, program header and section header, and their forms in the file.
type elfTables struct {
	class                 elf.Class
	most                  uint64 // the end of what its numbers can address, in the file and in memory
	header, section, prog uint64 // bytes
	encodeHeader          func(h *elf.Header64) any
	encodeSection         func(s *elf.Section64) any
	encodeProg            func(p *elf.Prog64) any

	// Back again, as far as [elfTables.wrote] looks.
	decodeHeader  func(b []byte) elf.Header64
	decodeSection func(b []byte) elf.Section64
	decodeProg    func(b []byte) elf.Prog64
}

var tables64 = &elfTables{
	class: elf.ELFCLASS64, most: math.MaxUint64, header: elfcore.HeaderSize, section: elfcore.SectionSize, prog: elfcore.ProgSize,
	encodeHeader:  func(h *elf.Header64) any { return h },
	encodeSection: func(s *elf.Section64) any { return s },
	encodeProg:    func(p *elf.Prog64) any { return p },
	decodeHeader:  decoded[elf.Header64],
	decodeSection: decoded[elf.Section64],
	decodeProg:    decoded[elf.Prog64],
}

var tables32 = &elfTables{
	class: elf.ELFCLASS32, most: 1 << 32, header: elfcore.HeaderSize32, section: elfcore.SectionSize32, prog: elfcore.ProgSize32,
	encodeHeader: func(h *elf.Header64) any {
		return &elf.Header32{
			Ident: h.Ident, Type: h.Type, Machine: h.Machine, Version: h.Version,
			Phoff: low32(h.Phoff), Shoff: low32(h.Shoff), Ehsize: h.Ehsize,
			Phentsize: h.Phentsize, Phnum: h.Phnum, Shentsize: h.Shentsize, Shnum: h.Shnum, Shstrndx: h.Shstrndx,
		}
	},
	encodeSection: func(s *elf.Section64) any {
		return &elf.Section32{Name: s.Name, Type: s.Type, Off: low32(s.Off), Size: low32(s.Size), Info: s.Info}
	},
	encodeProg: func(p *elf.Prog64) any {
		return &elf.Prog32{
			Type: p.Type, Off: low32(p.Off), Vaddr: low32(p.Vaddr), Paddr: low32(p.Paddr),
			Filesz: low32(p.Filesz), Memsz: low32(p.Memsz),
		}
	},
	decodeHeader: func(b []byte) elf.Header64 {
		h := decoded[elf.Header32](b)
		return elf.Header64{Ident: h.Ident, Type: h.Type, Shoff: uint64(h.Shoff), Ehsize: h.Ehsize, Phnum: h.Phnum, Shnum: h.Shnum}
	},
	decodeSection: func(b []byte) elf.Section64 {
		s := decoded[elf.Section32](b)
		return elf.Section64{Off: uint64(s.Off), Size: uint64(s.Size)}
	},
	decodeProg: func(b []byte) elf.Prog64 {
		p := decoded[elf.Prog32](b)
		return elf.Prog64{Type: p.Type, Off: uint64(p.Off), Filesz: uint64(p.Filesz)}
	},
}

// low32 is the lower half of a number: all of it where [NewELF] found that it fits.
func low32(v uint64) uint32 { return uint32(v & math.MaxUint32) }
