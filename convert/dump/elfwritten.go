package dump

import (
	"debug/elf"
	"encoding/binary"
)

// WroteELF tells by the beginning of a file whether it is a core that an [ELF] is
// written as. A core of QEMU has its section name table behind the memory
// (dump/dump.c), and one of VirtualBox or a process has none: neither is taken for ours.
func WroteELF(beginning []byte) bool {
	for _, t := range classes {
		if t.wrote(beginning) {
			return true
		}
	}
	return false
}

// wrote tells whether tables of this class are laid out as [elfTables.encode] does.
func (t *elfTables) wrote(b []byte) bool {
	h, b, ok := take(b, t.header, t.decodeHeader)
	if !ok || elf.Class(h.Ident[elf.EI_CLASS]) != t.class || h.Type != uint16(elf.ET_CORE) {
		return false
	}
	_, b, _ = take(b, t.section, t.decodeSection)
	names, b, _ := take(b, t.section, t.decodeSection)
	notes, b, ok := take(b, t.prog, t.decodeProg)
	if !ok || uint64(h.Ehsize) != t.header || h.Shoff != t.header || h.Shnum != sections || elf.ProgType(notes.Type) != elf.PT_NOTE {
		return false
	}
	if names.Off != notes.Off+notes.Filesz || names.Size != uint64(len(sectionNames)) {
		return false
	}
	first, _, ok := take(b, t.prog, t.decodeProg)
	return h.Phnum == 1 || ok && first.Off == names.Off+names.Size
}

// take decodes the structure of so many bytes that b begins with, and gives what is
// behind it; false where b is shorter.
func take[T any](b []byte, size uint64, decode func([]byte) T) (v T, rest []byte, ok bool) {
	if uint64(len(b)) < size {
		return v, nil, false
	}
	return decode(b), b[size:], true
}

// decoded is a structure of fixed size, which b has all of.
func decoded[T any](b []byte) (v T) {
	_, _ = binary.Decode(b, binary.LittleEndian, &v)
	return v
}
