// Package vmcore opens ELF cores of a machine, "vmcores": those of QEMU, of its gdb
// script and of VirtualBox. What is x86 in them stands in the files x86_*.go, what is Arm in arm64_*.go.
package vmcore

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// elfFile is an ELF file while it is opened.
type elfFile struct {
	ctx  context.Context // of opening
	r    io.ReaderAt
	size uint64
	hdr  elf.Header64 // of ELF32 the same, widened

	layout *elfLayout
	progs  programHeaders

	machine *machine
	moved   uint64 // bytes by which memory lies farther back than the headers say
	notes   noteTable
	loads   loadTable
	odd     physmem.Oddities
}

// Opener returns the opener of ELF cores of a machine.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatELF, Open: open} }

// open opens a core of one of machines: the header is checked for what it must
// be, the program headers are walked once for notes and memory, and the notes
// are decoded. Own code and not elf.NewFile, because that takes e_phnum 0xffff
// for a count and refuses EI_VERSION 0, which VirtualBox writes.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	f := &elfFile{ctx: ctx, r: src}
	if err := f.readHeader(src); err != nil {
		return nil, err
	}
	if err := f.locateProgramHeaders(); err != nil {
		return nil, err
	}
	if err := f.walkProgramHeaders(); err != nil {
		return nil, err
	}
	f.loads.noteCut(f.size, &f.odd)
	f.notes.read(f.r, f.size, &f.odd)
	if f.notes.ofProcess {
		return nil, f.notes.refuseProcess()
	}
	list := f.loads.extents(&f.odd)
	if len(list) == 0 {
		return nil, f.noMemory()
	}
	c := &physmem.Container{GuestNote: f.notes.guest}
	cpus, m := f.machine.cpus(&f.notes, &f.odd)
	f.machine = machines[m]
	c.CPUs, c.Machine = cpus, f.machine.name
	c.Memory = extents.New(f.r, list)
	if l := f.qemuLayout(list); l != nil {
		c.Memory = &pagedMemory{Memory: extents.New(f.r, list), layout: l}
	}
	f.sayUntried()
	c.Description, c.State = f.describe(len(c.CPUs)), f.state()
	c.Oddities = f.odd.All()
	return c, nil
}

// readHeader reads the ELF header and refuses what is not a core of a machine that is
// read, by name.
func (f *elfFile) readHeader(src physmem.Source) error {
	head, err := physmem.Head(src, elfcore.HeaderSize)
	if err != nil {
		return err
	}
	if len(head) < len(elf.ELFMAG) || string(head[:len(elf.ELFMAG)]) != elf.ELFMAG {
		return physmem.NotMine("no ELF signature at its start")
	}
	f.size = binio.Uint64(src.Size())
	if len(head) < elfcore.HeaderSize {
		return &physmem.FormatError{
			Format: physmem.FormatELF, Field: "ELF header",
			Got: fmt.Sprintf("a file of 0x%x bytes", len(head)), Want: "0x40 bytes of header",
			Hint: physmem.HintIncomplete, Cut: f.cut(0),
		}
	}
	if err := checkKind(head); err != nil {
		return err
	}
	f.layout = layoutOf(elf.Class(head[elf.EI_CLASS]))
	if err := f.layout.header(head, &f.hdr); err != nil {
		return &physmem.FormatError{Format: physmem.FormatELF, Field: "ELF header", Err: err}
	}
	f.machine = machines[elf.Machine(f.hdr.Machine)]
	// e_ehsize is not checked: QEMU writes 8, the size of a pointer.
	if v := f.hdr.Version; v > uint32(elf.EV_CURRENT) {
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: 0x14, Field: "ELF header: e_version",
			Got: fmt.Sprintf("0x%x", v), Want: "0x1",
		}
	}
	return nil
}

// checkKind refuses an ELF file by what its header says it is. The fields that
// it looks at are at the same place in all ELF files.
func checkKind(head []byte) error {
	class, data := elf.Class(head[elf.EI_CLASS]), elf.Data(head[elf.EI_DATA])
	var order binary.ByteOrder = binary.LittleEndian
	switch data {
	case elf.ELFDATA2LSB:
	case elf.ELFDATA2MSB:
		order = binary.BigEndian
	default:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: elf.EI_DATA, Field: "ELF header: EI_DATA",
			Got: fmt.Sprintf("0x%x", byte(data)), Want: "0x1 (little-endian)",
		}
	}
	typ, machine := elf.Type(order.Uint16(head[16:])), elf.Machine(order.Uint16(head[18:]))
	known := machines[machine]
	refuse := func(what, hint string) error {
		return &physmem.UnsupportedError{Format: physmem.FormatELF, What: what, Hint: hint}
	}
	switch {
	case typ != elf.ET_CORE:
		return refuse(fmt.Sprintf("%s (%s), not a memory core", typeName(typ), machineName(machine)),
			"give the dump of the guest's memory")
	case data == elf.ELFDATA2MSB:
		return refuse(fmt.Sprintf("a big-endian ELF core (%s); Windows guests are little-endian", machineName(machine)), "")
	case known == nil:
		return refuse(fmt.Sprintf("an ELF core of another machine (%s); only x86 and 64-bit Arm are read", machineName(machine)), "")
	case class == elf.ELFCLASS32 && !known.class32:
		return refuse(fmt.Sprintf("a 32-bit ELF core (%s); only 64-bit ones are read", machineName(machine)), "")
	case class != elf.ELFCLASS64 && class != elf.ELFCLASS32:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: elf.EI_CLASS, Field: "ELF header: EI_CLASS",
			Got: fmt.Sprintf("0x%x", byte(class)), Want: "0x2 (64-bit) or 0x1 (32-bit)",
		}
	// VirtualBox leaves EI_VERSION 0.
	case head[elf.EI_VERSION] > byte(elf.EV_CURRENT):
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: elf.EI_VERSION, Field: "ELF header: EI_VERSION",
			Got: fmt.Sprintf("0x%x", head[elf.EI_VERSION]), Want: "0x1",
		}
	}
	return nil
}

// typeName says what kind of ELF file it is in plain words.
func typeName(t elf.Type) string {
	switch t {
	case elf.ET_REL:
		return "an ELF object file"
	case elf.ET_EXEC:
		return "an ELF executable"
	case elf.ET_DYN:
		return "an ELF shared object or executable"
	default:
		return fmt.Sprintf("an ELF file of type %d", uint16(t))
	}
}

// machineName is the constant's name, or the number where there is none.
func machineName(m elf.Machine) string {
	// String writes an unknown number as the nearest constant plus a rest.
	if s := m.String(); strings.HasPrefix(s, "EM_") && !strings.Contains(s, "+") {
		return s
	}
	return fmt.Sprintf("machine number %d", uint16(m))
}

// maxSections are as many sections as a vmcore has: the one that is none, and names
// (QEMU dump/dump.c). Xen keeps memory in sections.
const maxSections = 2

// locateProgramHeaders sets progs, having checked that the whole
// table lies in the file.
func (f *elfFile) locateProgramHeaders() error {
	l, off, count := f.layout, f.hdr.Phoff, uint64(f.hdr.Phnum)
	if f.hdr.Phnum == elfcore.PNXNum {
		n, err := f.extendedCount()
		if err != nil {
			return err
		}
		count = n
	}
	switch {
	case count == 0 && f.hdr.Shnum > maxSections:
		return physmem.NotMine("a core with sections, and without program headers")
	case count == 0:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: l.atPhnum, Field: "ELF header: e_phnum",
			Got: "0", Reason: "no program header, so no memory", Hint: physmem.HintIncomplete,
		}
	case uint64(f.hdr.Phentsize) != l.progSize:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: l.atPhentsize, Field: "ELF header: e_phentsize",
			Got: fmt.Sprintf("0x%x", f.hdr.Phentsize), Want: fmt.Sprintf("0x%x", l.progSize),
		}
	case count > elfcore.MaxProgramHeaders:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: l.atPhnum, Field: "program headers",
			Got: fmt.Sprintf("0x%x", count), Want: fmt.Sprintf("at most 0x%x", elfcore.MaxProgramHeaders),
			Hint: "dump the guest again with paging off",
		}
	case off > f.size || count > (f.size-off)/l.progSize:
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: l.atPhoff, Field: "program headers",
			Got:    fmt.Sprintf("0x%x of 0x%x bytes at 0x%x", count, l.progSize, off),
			Reason: fmt.Sprintf("the file ends at 0x%x", f.size), Hint: physmem.HintIncomplete, Cut: f.cut(0),
		}
	}
	f.progs = programHeaders{r: f.r, off: off, count: count, layout: l}
	return nil
}

// extendedCount returns the number of program headers that section header 0
// holds when e_phnum has no room for it (gABI chapter 5, PN_XNUM).
func (f *elfFile) extendedCount() (uint64, error) {
	refuse := func(format string, args ...any) error {
		return &physmem.FormatError{
			Format: physmem.FormatELF, Offset: f.layout.atPhnum, Field: "ELF header: e_phnum", Got: "0xffff",
			Reason: "the count must be in section header 0: " + fmt.Sprintf(format, args...),
		}
	}
	var sh elf.Section64
	switch shoff := f.hdr.Shoff; {
	case shoff == 0:
		return 0, refuse("there is none")
	case uint64(f.hdr.Shentsize) != f.layout.sectionSize:
		return 0, refuse("e_shentsize is 0x%x and not 0x%x", f.hdr.Shentsize, f.layout.sectionSize)
	case !binio.Within(shoff, f.layout.sectionSize, f.size):
		return 0, refuse("it is at 0x%x and the file ends at 0x%x", shoff, f.size)
	}
	if err := f.section(0, &sh); err != nil {
		return 0, err
	}
	if sh.Info == 0 {
		return 0, refuse("its sh_info is 0")
	}
	return uint64(sh.Info), nil
}

// section reads section header i, which must lie in the file.
func (f *elfFile) section(i uint64, sh *elf.Section64) error {
	off, ok := binio.Int64(f.hdr.Shoff + i*f.layout.sectionSize)
	if !ok {
		return &physmem.ReadError{Err: io.ErrUnexpectedEOF}
	}
	b := make([]byte, f.layout.sectionSize)
	if err := binio.ReadFull(f.r, b, off); err != nil {
		return &physmem.ReadError{Offset: off, Err: err}
	}
	if err := f.layout.section(b, sh); err != nil {
		return &physmem.ReadError{Offset: off, Err: err}
	}
	return nil
}

// walkProgramHeaders sorts the program headers to notes and memory.
func (f *elfFile) walkProgramHeaders() error {
	stopped := false
	err := f.progs.each(func(p *elf.Prog64, at int64) bool {
		f.moveUncounted(p, at)
		switch elf.ProgType(p.Type) {
		case elf.PT_NOTE:
			f.notes.segment(p.Off, p.Filesz, at, &f.odd)
		case elf.PT_LOAD:
			f.loads.add(p, at, f.size, &f.odd)
		default: // what else there may be says nothing about memory
		}
		stopped = f.ctx.Err() != nil
		return !stopped
	})
	if stopped {
		return context.Cause(f.ctx)
	}
	return err
}

// cut says that the file ends before end, 0 if that is not known.
func (f *elfFile) cut(end uint64) *physmem.Cut { return &physmem.Cut{Size: f.size, Whole: end} }

// noMemory is the error for a core none of whose program headers gives memory
// that the file holds.
func (f *elfFile) noMemory() error {
	e := &physmem.FormatError{
		Format: physmem.FormatELF, Field: "program headers", Offset: int64(f.progs.off), //nolint:gosec // inside the file
		Reason: "none describes memory that the file holds",
		Hint:   physmem.HintIncomplete,
	}
	if f.loads.cut > 0 {
		e.Reason = fmt.Sprintf("all memory is behind the end of the file (0x%x)", f.size)
		e.Cut = f.cut(f.loads.until)
	}
	return e
}

// state is what the file says of who wrote it.
func (f *elfFile) state() physmem.State {
	if f.notes.vbox.present() {
		return physmem.State{Product: "VirtualBox", Version: f.notes.vbox.version()}
	}
	return physmem.State{Product: f.notes.writer()}
}

// sayUntried says so of files of programs of which none was seen.
func (f *elfFile) sayUntried() {
	switch {
	case f.notes.vbox.present():
		f.odd.Add(physmem.OddityUntried, 0, "VirtualBox' cores are read by its published headers; none that VirtualBox wrote was tried")
	case f.notes.isCloud():
		f.odd.Add(physmem.OddityUntried, 0, "Cloud Hypervisor's cores are read by its source; none that it wrote was tried")
	}
}

// describe says in one line what was opened.
func (f *elfFile) describe(cpus int) string {
	s := f.layout.name + " vmcore"
	if w := f.notes.writer(); w != "" {
		s += " of " + w
	} else if f.notes.vbox.present() {
		s = f.notes.vbox.describe()
	}
	if f.machine.label != "" {
		s += ", " + f.machine.label
	}
	if f.loads.paged {
		s += " (paging on)"
	}
	return fmt.Sprintf("%s, %s, %s", s, binio.Plural(f.progs.count, "program header"), binio.Plural(uint64(cpus), "CPU")) //nolint:gosec // a length
}
