package physmem

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"

	"windmp/internal/elfcore"
)

// shstrtab is the section name table of a core as QEMU writes it.
const shstrtab = "\x00.shstrtab\x00"

// EncodeELF returns what stands before the memory in an ELF core of a machine,
// laid out as QEMU's dump-guest-memory does with paging off (dump/dump.c): file
// header, section headers, program headers, notes. The memory of ranges follows,
// back to back in their order. There is a CORE and a QEMU note for each CPU, and
// guestNote as the VMCOREINFO note when it is not empty. The core of a 32-bit
// machine is marked as such (EM_386); it is an ELF32 file where that can hold it.
//
// Other than in QEMU's files, e_ehsize is right and the section name table
// stands before the memory, so that all of the file's front is known at once.
func EncodeELF(ranges []Range, cpus []CPU, guestNote []byte, is32 bool) ([]byte, error) {
	if len(ranges) > elfcore.MaxProgramHeaders-1 || len(cpus) > elfcore.MaxCPUs {
		return nil, fmt.Errorf("an ELF core of %d ranges and %d CPUs: at most %d and %d", len(ranges), len(cpus), elfcore.MaxProgramHeaders-1, elfcore.MaxCPUs)
	}
	notes := encodeNotes(cpus, guestNote, is32)
	const shdrs = 2
	phnum := uint64(len(ranges)) + 1
	room := elfcore.HeaderSize + shdrs*elfcore.SectionSize + phnum*elfcore.ProgSize + uint64(len(notes)) + uint64(len(shstrtab))
	t := tablesFor(ranges, is32, room)
	phoff := t.header + shdrs*t.section
	noteOff := phoff + phnum*t.prog
	memory := noteOff + uint64(len(notes)) + uint64(len(shstrtab))

	header := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: phoff, Shoff: t.header, Ehsize: uint16(t.header), Phentsize: uint16(t.prog), //nolint:gosec // 64 at most
		Phnum:     uint16(min(phnum, elfcore.PNXNum)),
		Shentsize: uint16(t.section), Shnum: shdrs, Shstrndx: 1, //nolint:gosec // 64 at most
	}
	if is32 {
		header.Machine = uint16(elf.EM_386)
	}
	copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(t.class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	first := elf.Section64{}
	if phnum >= elfcore.PNXNum {
		first.Info = uint32(phnum) //nolint:gosec // at most elfcore.MaxProgramHeaders
	}
	names := elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: noteOff + uint64(len(notes)), Size: uint64(len(shstrtab))}

	var b bytes.Buffer
	b.Grow(int(memory))                                                 //nolint:gosec // bounded by elfcore.MaxProgramHeaders and elfcore.MaxCPUs
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // into memory, of fixed size
	put(t.encodeHeader(&header))
	put(t.encodeSection(&first))
	put(t.encodeSection(&names))
	put(t.encodeProg(&elf.Prog64{Type: uint32(elf.PT_NOTE), Off: noteOff, Filesz: uint64(len(notes)), Memsz: uint64(len(notes))}))
	at := memory
	for _, r := range ranges {
		if r.Size > math.MaxInt64-at {
			return nil, fmt.Errorf("an ELF core that holds %v would pass the largest file", r)
		}
		put(t.encodeProg(&elf.Prog64{Type: uint32(elf.PT_LOAD), Off: at, Vaddr: r.Start, Paddr: r.Start, Filesz: r.Size, Memsz: r.Size}))
		at += r.Size
	}
	b.Write(notes)
	b.WriteString(shstrtab)
	return b.Bytes(), nil
}

// encodeNotes is the payload of the PT_NOTE segment, in QEMU's order.
func encodeNotes(cpus []CPU, guestNote []byte, is32 bool) []byte {
	var b []byte
	for i := range cpus {
		var core any = cpus[i].prstatus()
		if is32 {
			core = cpus[i].prstatus32()
		}
		b = appendNote(b, elfcore.NoteCore, uint32(elf.NT_PRSTATUS), encode(core))
	}
	for i := range cpus {
		b = appendNote(b, elfcore.NoteQEMU, 0, encode(cpus[i].qemu()))
	}
	if len(guestNote) > 0 {
		b = appendNote(b, elfcore.NoteVMCoreInfo, 0, guestNote)
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

// encode is a fixed-size structure as the file holds it.
func encode(v any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, v) // into memory, of fixed size
	return b.Bytes()
}

// prstatus is the CORE note of a CPU.
func (c *CPU) prstatus() *elfcore.Prstatus64 {
	return &elfcore.Prstatus64{
		PID: uint32(c.Index) + 1, //nolint:gosec // at most elfcore.MaxCPUs
		R15: c.R15, R14: c.R14, R13: c.R13, R12: c.R12, Rbp: c.Rbp, Rbx: c.Rbx, R11: c.R11, R10: c.R10,
		R9: c.R9, R8: c.R8, Rax: c.Rax, Rcx: c.Rcx, Rdx: c.Rdx, Rsi: c.Rsi, Rdi: c.Rdi,
		Rip: c.Rip, CS: uint64(c.CS.Selector), Rflags: c.Rflags, Rsp: c.Rsp, SS: uint64(c.SS.Selector),
		FSBase: c.FS.Base, GSBase: c.GS.Base,
		DS: uint64(c.DS.Selector), ES: uint64(c.ES.Selector), FS: uint64(c.FS.Selector), GS: uint64(c.GS.Selector),
	}
}

// prstatus32 is the CORE note of a CPU of a 32-bit machine.
func (c *CPU) prstatus32() *elfcore.Prstatus32 {
	return &elfcore.Prstatus32{
		PID: uint32(c.Index) + 1, //nolint:gosec // at most elfcore.MaxCPUs
		Ebx: low32(c.Rbx), Ecx: low32(c.Rcx), Edx: low32(c.Rdx), Esi: low32(c.Rsi), Edi: low32(c.Rdi),
		Ebp: low32(c.Rbp), Eax: low32(c.Rax),
		DS: uint32(c.DS.Selector), ES: uint32(c.ES.Selector), FS: uint32(c.FS.Selector), GS: uint32(c.GS.Selector),
		Eip: low32(c.Rip), CS: uint32(c.CS.Selector), Eflags: low32(c.Rflags),
		Esp: low32(c.Rsp), SS: uint32(c.SS.Selector),
	}
}

// qemu is the QEMU note of a CPU.
func (c *CPU) qemu() *elfcore.CPU {
	segment := func(s Segment) elfcore.Segment {
		return elfcore.Segment{Selector: uint32(s.Selector), Limit: s.Limit, Flags: s.Flags, Base: s.Base}
	}
	return &elfcore.CPU{
		Version: elfcore.CPUVersion, Size: elfcore.CPUSize,
		Rax: c.Rax, Rbx: c.Rbx, Rcx: c.Rcx, Rdx: c.Rdx, Rsi: c.Rsi, Rdi: c.Rdi, Rsp: c.Rsp, Rbp: c.Rbp,
		R8: c.R8, R9: c.R9, R10: c.R10, R11: c.R11, R12: c.R12, R13: c.R13, R14: c.R14, R15: c.R15,
		Rip: c.Rip, Rflags: c.Rflags,
		CS: segment(c.CS), DS: segment(c.DS), ES: segment(c.ES), FS: segment(c.FS), GS: segment(c.GS), SS: segment(c.SS),
		LDT: segment(c.LDT), TR: segment(c.TR), GDT: segment(c.GDT), IDT: segment(c.IDT),
		CR:           [5]uint64{c.CR0, 0, c.CR2, c.CR3, c.CR4},
		KernelGSBase: c.KernelGSBase,
	}
}
