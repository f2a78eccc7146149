package machine

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"windmp/convert/dump"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// elfX64 and elfX86 are the cores of x86-64 and 32-bit x86 machines, with the notes
// that QEMU writes for them (target/i386/arch_dump.c).
var (
	elfX64 = dump.ELFMachine{
		Machine: elf.EM_X86_64, Class: elf.ELFCLASS64,
		Notes: []dump.NoteCodec{
			{Name: elfcore.NoteCore, Type: uint32(elf.NT_PRSTATUS), Encode: prstatus64},
			{Name: elfcore.NoteQEMU, Type: elfcore.TypeQEMU, Encode: qemuCPU},
		},
	}
	elfX86 = dump.ELFMachine{
		Machine: elf.EM_386, Class: elf.ELFCLASS32,
		Notes: []dump.NoteCodec{
			{Name: elfcore.NoteCore, Type: uint32(elf.NT_PRSTATUS), Encode: prstatus32},
			{Name: elfcore.NoteQEMU, Type: elfcore.TypeQEMU, Encode: qemuCPU},
		},
	}
)

// prstatus64 is the CORE note of a CPU.
func prstatus64(cpu *physmem.CPU) []byte {
	c := physmem.X86Of(*cpu)
	return encoded(&elfcore.Prstatus64{
		PID: uint32(cpu.Index) + 1, //nolint:gosec // at most elfcore.MaxCPUs
		R15: c.R15, R14: c.R14, R13: c.R13, R12: c.R12, Rbp: c.Rbp, Rbx: c.Rbx, R11: c.R11, R10: c.R10,
		R9: c.R9, R8: c.R8, Rax: c.Rax, Rcx: c.Rcx, Rdx: c.Rdx, Rsi: c.Rsi, Rdi: c.Rdi,
		Rip: c.Rip, CS: uint64(c.CS.Selector), Rflags: c.Rflags, Rsp: c.Rsp, SS: uint64(c.SS.Selector),
		FSBase: c.FS.Base, GSBase: c.GS.Base,
		DS: uint64(c.DS.Selector), ES: uint64(c.ES.Selector), FS: uint64(c.FS.Selector), GS: uint64(c.GS.Selector),
	})
}

// prstatus32 is the CORE note of a CPU of a 32-bit machine.
func prstatus32(cpu *physmem.CPU) []byte {
	c := physmem.X86Of(*cpu)
	return encoded(&elfcore.Prstatus32{
		PID: uint32(cpu.Index) + 1, //nolint:gosec // at most elfcore.MaxCPUs
		Ebx: low(c.Rbx), Ecx: low(c.Rcx), Edx: low(c.Rdx), Esi: low(c.Rsi), Edi: low(c.Rdi),
		Ebp: low(c.Rbp), Eax: low(c.Rax),
		DS: uint32(c.DS.Selector), ES: uint32(c.ES.Selector), FS: uint32(c.FS.Selector), GS: uint32(c.GS.Selector),
		Eip: low(c.Rip), CS: uint32(c.CS.Selector), Eflags: low(c.Rflags),
		Esp: low(c.Rsp), SS: uint32(c.SS.Selector),
	})
}

// qemuCPU is the QEMU note of a CPU.
func qemuCPU(cpu *physmem.CPU) []byte {
	c := physmem.X86Of(*cpu)
	segment := func(s physmem.Segment) elfcore.Segment {
		return elfcore.Segment{Selector: uint32(s.Selector), Limit: s.Limit, Flags: s.Flags, Base: s.Base}
	}
	return encoded(&elfcore.CPU{
		Version: elfcore.CPUVersion, Size: elfcore.CPUSize,
		Rax: c.Rax, Rbx: c.Rbx, Rcx: c.Rcx, Rdx: c.Rdx, Rsi: c.Rsi, Rdi: c.Rdi, Rsp: c.Rsp, Rbp: c.Rbp,
		R8: c.R8, R9: c.R9, R10: c.R10, R11: c.R11, R12: c.R12, R13: c.R13, R14: c.R14, R15: c.R15,
		Rip: c.Rip, Rflags: c.Rflags,
		CS: segment(c.CS), DS: segment(c.DS), ES: segment(c.ES), FS: segment(c.FS), GS: segment(c.GS), SS: segment(c.SS),
		LDT: segment(c.LDT), TR: segment(c.TR), GDT: segment(c.GDT), IDT: segment(c.IDT),
		CR:           [5]uint64{c.CR0, 0, c.CR2, c.CR3, c.CR4},
		KernelGSBase: c.KernelGSBase,
	})
}

// encoded is a note of fixed size as the file holds it.
func encoded(note any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, note) // into memory
	return b.Bytes()
}
