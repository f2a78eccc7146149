package dump

import (
	"debug/elf"
	"encoding/binary"
	"iter"
	"slices"

	"windmp/internal/elfcore"
	"windmp/physmem"
)

// ELFMachine is how an ELF core speaks of a kind of machine.
type ELFMachine struct {
	// Machine is e_machine of the file header.
	Machine elf.Machine
	// Class is that of the file. One of ELFCLASS32 becomes ELFCLASS64 where an
	// address or a file offset needs it, as QEMU does.
	Class elf.Class
	// Notes are those of each processor, one list a kind: for each kind in turn
	// the core has a note of every processor; with Together, for each processor in
	// turn a note of every kind.
	Notes    []NoteCodec
	Together bool
}

// NoteCodec makes a note of a processor.
type NoteCodec struct {
	Name string
	Type uint32
	// Encode makes the payload of a processor whose registers are of the machine.
	Encode func(c *physmem.CPU) []byte
}

// ELF is the core of a machine, laid out as QEMU's dump-guest-memory does with
// paging off (dump/dump.c): file header, section headers, program headers, notes,
// and the memory, back to back in the order of its runs.
//
// Other than in QEMU's files, e_ehsize is right and the section name table stands
// before the memory, so that all of the file's front is known at once.
type ELF struct {
	front []byte
	pages Pages
	size  int64
}

// sectionNames is the section name table of a core as QEMU writes it.
const sectionNames = "\x00.shstrtab\x00"

// sections is how many there are: the one that says nothing, and the names.
const sections = 2

// NewELF makes a core of the memory and the processors. guestNote, when it is not
// empty, becomes the VMCOREINFO note. The error is a [*LimitError], or that of
// [NewPages].
func NewELF(machine ELFMachine, runs physmem.Runs, cpus []physmem.CPU, guestNote []byte) (*ELF, error) {
	const mostRuns = elfcore.MaxProgramHeaders - 1 // the other one is of the notes
	if n := len(runs); n > mostRuns {
		return nil, &LimitError{Limit: LimitSegments, Got: uint64(n), Most: mostRuns}
	}
	if n := len(cpus); n > elfcore.MaxCPUs {
		return nil, &LimitError{Limit: LimitProcessors, Got: uint64(n), Most: elfcore.MaxCPUs}
	}
	pages, err := NewPages(slices.Values(runs))
	if err != nil {
		return nil, err
	}
	notes := machine.notes(cpus, guestNote)
	i := slices.IndexFunc(classes, func(t *elfTables) bool { return t.class == machine.Class && t.hold(len(runs), notes, pages) })
	tables := classes[max(i, 0)]
	size, err := pages.size(tables.front(len(runs), notes))
	if err != nil {
		return nil, err
	}
	return &ELF{front: tables.encode(machine.Machine, runs, notes), pages: pages, size: size}, nil
}

// Size implements Layout.
func (e *ELF) Size() int64 { return e.size }

// Segments implements Layout.
func (e *ELF) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		_ = yield(Given(e.front)) && e.pages.segments(yield)
	}
}

// notes is the payload of the PT_NOTE segment, in QEMU's order.
func (m *ELFMachine) notes(cpus []physmem.CPU, guestNote []byte) []byte {
	var b []byte
	kinds, processors := len(m.Notes), len(cpus)
	for i := range kinds * processors {
		kind, cpu := i/max(processors, 1), i%max(processors, 1)
		if m.Together {
			kind, cpu = i%kinds, i/kinds
		}
		n := &m.Notes[kind]
		b = appendNote(b, n.Name, n.Type, n.Encode(&cpus[cpu]))
	}
	if len(guestNote) > 0 {
		b = appendNote(b, elfcore.NoteVMCoreInfo, elfcore.TypeVMCoreInfo, guestNote)
	}
	return b
}

// appendNote appends a note with QEMU's 4-byte padding.
func appendNote(b []byte, name string, typ uint32, desc []byte) []byte {
	pad := func() {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)+1)) //nolint:gosec // a name of ours
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))   //nolint:gosec // a CPU's or the guest's note
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = append(append(b, name...), 0)
	pad()
	b = append(b, desc...)
	pad()
	return b
}

// front is how many bytes stand before the memory of so many runs.
func (t *elfTables) front(runs int, notes []byte) uint64 {
	return t.notesAt(runs) + uint64(len(notes)) + uint64(len(sectionNames))
}

// hold tells whether the numbers of the class are large enough for a file of these runs.
func (t *elfTables) hold(runs int, notes []byte, pages Pages) bool {
	return t.front(runs, notes)+pages.count*physmem.PageSize <= t.most && pages.end*physmem.PageSize <= t.most
}

// notesAt is the file offset of the notes.
func (t *elfTables) notesAt(runs int) uint64 {
	return t.header + sections*t.section + (uint64(runs)+1)*t.prog //nolint:gosec // a length
}

// encode is what stands before the memory.
func (t *elfTables) encode(machine elf.Machine, runs physmem.Runs, notes []byte) []byte {
	count := uint64(len(runs)) + 1
	noteOff, memory := t.notesAt(len(runs)), t.front(len(runs), notes)
	header := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: t.header + sections*t.section, Shoff: t.header, Ehsize: uint16(t.header), Phentsize: uint16(t.prog), //nolint:gosec // 64 at most
		Phnum:     uint16(min(count, elfcore.PNXNum)),
		Shentsize: uint16(t.section), Shnum: sections, Shstrndx: 1, //nolint:gosec // 64 at most
	}
	copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(t.class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	first := elf.Section64{}
	if count >= elfcore.PNXNum {
		first.Info = uint32(count) //nolint:gosec // at most elfcore.MaxProgramHeaders
	}
	names := elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: noteOff + uint64(len(notes)), Size: uint64(len(sectionNames))}

	b := make([]byte, 0, memory)
	b = put(b, t.encodeHeader(&header))
	b = put(b, t.encodeSection(&first))
	b = put(b, t.encodeSection(&names))
	b = put(b, t.encodeProg(&elf.Prog64{Type: uint32(elf.PT_NOTE), Off: noteOff, Filesz: uint64(len(notes)), Memsz: uint64(len(notes))}))
	at := memory
	for _, run := range runs {
		r := run.Range()
		b = put(b, t.encodeProg(&elf.Prog64{Type: uint32(elf.PT_LOAD), Off: at, Vaddr: r.Start, Paddr: r.Start, Filesz: r.Size, Memsz: r.Size}))
		at += r.Size
	}
	b = append(b, notes...)
	return append(b, sectionNames...)
}

// put appends a fixed-size structure as the file holds it.
func put(b []byte, v any) []byte {
	b, _ = binary.Append(b, binary.LittleEndian, v) // of fixed size
	return b
}
