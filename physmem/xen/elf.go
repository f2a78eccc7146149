package xen

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// Sections of a core (Xen docs/misc/dump-core-format.txt).
const (
	sectionNote   = ".note.Xen"
	sectionCPUs   = ".xen_prstatus"
	sectionPages  = ".xen_pages"
	sectionFrames = ".xen_pfn"
	sectionP2M    = ".xen_p2m" // of paravirtual guests, in place of the frames
)

// Caps of what is read to recognise a core, which has seven sections.
const (
	maxSections     = 64
	maxSectionNames = 0x1000
	maxNotes        = 0x10000
)

var (
	// coreMachines are those of which cores are read, by e_machine, which Xen's tools set
	// to their own machine's, not the guest's.
	coreMachines = []elf.Machine{elf.EM_X86_64, elf.EM_386}
	// otherMachines are those of which cores are recognised, in words.
	otherMachines = map[elf.Machine]string{elf.EM_AARCH64: "an Arm"}
)

// section is where a core has a section.
type section struct {
	at        int64 // of its header in the file
	off, size uint64
	entry     uint64 // bytes of an entry, as the header says
	typ       elf.SectionType
	name      uint32
}

// sections reads the section headers of a core without program headers; nil for any
// other file. The error is a *physmem.ReadError, or a *physmem.UnsupportedError.
func (c *core) sections(head []byte) ([]section, *elf.Header64, error) {
	if len(head) < elfcore.HeaderSize || string(head[:len(elf.ELFMAG)]) != elf.ELFMAG ||
		elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(head[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, nil, nil
	}
	h := new(elf.Header64)
	if _, err := binary.Decode(head, binary.LittleEndian, h); err != nil {
		return nil, nil, nil
	}
	m := elf.Machine(h.Machine)
	switch {
	case elf.Type(h.Type) != elf.ET_CORE || h.Phnum != 0:
		return nil, nil, nil
	case otherMachines[m] != "":
		return nil, nil, &physmem.UnsupportedError{Format: physmem.FormatXen, What: fmt.Sprintf("an ELF core of %s machine without program headers, as Xen writes them; of these only x86 is read", otherMachines[m])}
	case !slices.Contains(coreMachines, m):
		return nil, nil, nil
	}
	count := uint64(h.Shnum)
	if h.Shentsize != elfcore.SectionSize || count > maxSections || !binio.Within(h.Shoff, count*elfcore.SectionSize, c.size()) {
		return nil, nil, nil
	}
	b, err := c.read(h.Shoff, count*elfcore.SectionSize, maxSections*elfcore.SectionSize)
	if err != nil {
		return nil, nil, err
	}
	list := make([]section, 0, count)
	for i := range count {
		var s elf.Section64
		if _, err := binary.Decode(b[i*elfcore.SectionSize:], binary.LittleEndian, &s); err != nil {
			return nil, nil, nil
		}
		at, _ := binio.Int64(h.Shoff + i*elfcore.SectionSize)
		list = append(list, section{at: at, off: s.Off, size: s.Size, entry: s.Entsize, typ: elf.SectionType(s.Type), name: s.Name})
	}
	return list, h, nil
}

// recognise finds the sections of a core of Xen by their names. Those are the last
// thing in the file, so that a file that is cut has none: the notes tell it is one.
func (c *core) recognise(head []byte) error {
	list, h, err := c.sections(head)
	switch {
	case err != nil:
		return err
	case list == nil:
		return physmem.NotMine("neither a saved state of Xen's nor an ELF core without program headers")
	}
	names, err := c.names(list, h)
	if err != nil {
		return err
	}
	c.named = map[string]section{}
	for _, s := range list {
		if name, _, ok := bytes.Cut(names[min(uint64(s.name), uint64(len(names))):], []byte{0}); ok && len(name) > 0 {
			if _, again := c.named[string(name)]; !again {
				c.named[string(name)] = s
			}
		}
	}
	if _, ok := c.named[sectionPages]; ok {
		return nil
	}
	if len(names) > 0 || !c.hasXenNote(list) {
		return physmem.NotMine("an ELF core without sections of Xen's")
	}
	end := c.size()
	for _, s := range list {
		if sum, ok := binio.Sum(s.off, s.size); ok && s.typ != elf.SHT_NOBITS {
			end = max(end, sum)
		}
	}
	return &physmem.FormatError{
		Format: physmem.FormatXen, Offset: h64Shstrndx, Field: "section names", Cut: c.cut(end),
		Reason: fmt.Sprintf("the file ends at 0x%x, before the table that says which page is where", c.size()), Hint: physmem.HintIncomplete,
	}
}

// h64Shstrndx is where the ELF header says which section has the names.
const h64Shstrndx = 0x3e

// names returns the section names, nil if they are not in the file. The error is a
// *physmem.ReadError.
func (c *core) names(list []section, h *elf.Header64) ([]byte, error) {
	if int(h.Shstrndx) >= len(list) {
		return nil, nil
	}
	s := list[h.Shstrndx]
	if s.size > maxSectionNames || !binio.Within(s.off, s.size, c.size()) {
		return nil, nil
	}
	return c.read(s.off, s.size, maxSectionNames)
}

// hasXenNote reports whether the first section of notes begins with one of Xen's.
func (c *core) hasXenNote(list []section) bool {
	for _, s := range list {
		if s.typ != elf.SHT_NOTE {
			continue
		}
		const size = uint64(noteHeader + noteNameSize)
		b, err := binio.ReadBytes(c.src, s.off, size, size)
		return err == nil && string(b[noteHeader:]) == noteName
	}
	return false
}

// Notes of a core: name size, payload size, type; the name; the payload; padded to 4
// (System V gABI chapter 5).
const (
	noteHeader   = 12
	noteName     = "Xen\x00"
	noteNameSize = len(noteName)

	noteCoreHeader  = 0x2000001 // XEN_ELFNOTE_DUMPCORE_HEADER
	noteCoreVersion = 0x2000002 // XEN_ELFNOTE_DUMPCORE_XEN_VERSION
	noteCoreFormat  = 0x2000003 // XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION
)

// readNotes reads what the notes say of the core.
func (c *core) readNotes() error {
	s, ok := c.named[sectionNote]
	if !ok {
		c.odd.Add(physmem.OddityNoteSkipped, 0, "the core has no section %s", sectionNote)
		return nil
	}
	b, err := binio.ReadBytes(c.src, s.off, s.size, maxNotes)
	if err != nil {
		c.odd.Add(physmem.OddityNoteSkipped, s.at, "the notes can't be read").Because("%v", err)
		return nil
	}
	le := binary.LittleEndian
	for at := uint64(0); uint64(len(b))-at >= noteHeader; {
		name, size, typ := uint64(le.Uint32(b[at:])), uint64(le.Uint32(b[at+4:])), le.Uint32(b[at+8:])
		desc := at + noteHeader + (name+3)&^3
		if desc > uint64(len(b)) || size > uint64(len(b))-desc {
			c.odd.Add(physmem.OddityNoteSkipped, s.at, "a note goes past the end of its section; it and all behind it are left out").Because("its type is 0x%x", typ)
			return nil
		}
		if err := c.takeNote(typ, b[desc:desc+size], int64(s.off+desc)); err != nil { //nolint:gosec // inside the file
			return err
		}
		at = min(desc+(size+3)&^3, uint64(len(b)))
	}
	return nil
}
