// Package elfcore has the structures of an ELF core of a machine, as QEMU lays it
// out, in the form that its reader and its writer share: sizes of tables that
// debug/elf has no names for, names of notes, and what the notes hold. It reads
// and writes nothing itself.
package elfcore

import "unsafe"

// Sizes of ELF64 in bytes (System V gABI, chapters 4 and 5).
const (
	HeaderSize  = 0x40
	ProgSize    = 56
	SectionSize = 64
)

// Sizes of ELF32 in bytes (System V gABI, chapters 4 and 5).
const (
	HeaderSize32  = 0x34
	ProgSize32    = 32
	SectionSize32 = 40
)

// PNXNum in e_phnum says that the real count is in sh_info of section 0 (System V
// gABI, chapter 4).
const PNXNum = 0xffff

const (
	// MaxProgramHeaders caps the program headers of a core. QEMU writes one for
	// each stretch of virtual memory that is contiguous in both address spaces;
	// the 4 million here are as many as 16 GiB of scattered 4 KiB pages need, and
	// a table of 224 MiB.
	MaxProgramHeaders = 1 << 22
	// MaxCPUs caps the processors, as QEMU does (hw/i386/pc_q35.c, max_cpus).
	MaxCPUs = 4096
)

// Names of notes.
const (
	NoteCore       = "CORE"       // processor state, layout as in Linux
	NoteQEMU       = "QEMU"       // processor state, QEMUCPUState of target/i386/arch_dump.c
	NoteVMCoreInfo = "VMCOREINFO" // left by the guest, docs/specs/vmcoreinfo of QEMU
)

// Types of notes. That of a CORE note is elf.NT_PRSTATUS.
const (
	TypeQEMU       = 0
	TypeVMCoreInfo = 0
)

// Prstatus64 is the x86-64 elf_prstatus of a CORE note as QEMU fills it
// (target/i386/arch_dump.c, x86_64_elf_prstatus): only the process id and the
// registers of Linux' user_regs_struct.
type Prstatus64 struct {
	Pad1 [32]byte
	PID  uint32 // cpu_index + 1
	Pad2 [76]byte

	R15, R14, R13, R12, Rbp, Rbx, R11, R10   uint64
	R9, R8, Rax, Rcx, Rdx, Rsi, Rdi, OrigRax uint64
	Rip, CS, Rflags, Rsp, SS, FSBase, GSBase uint64
	DS, ES, FS, GS                           uint64
	Pad3                                     [8]byte
}

// Prstatus32 is the i386 elf_prstatus of a CORE note as QEMU fills it
// (target/i386/arch_dump.c, x86_elf_prstatus).
type Prstatus32 struct {
	Pad1 [24]byte
	PID  uint32 // cpu_index + 1
	Pad2 [44]byte

	Ebx, Ecx, Edx, Esi, Edi, Ebp, Eax uint32
	DS, ES, FS, GS                    uint32
	OrigEax, Eip, CS, Eflags, Esp, SS uint32
	Pad3                              [4]byte
}

// Sizes of a CORE note's payload in bytes: the only ones of x86-64 and i386.
const (
	Prstatus64Size = 336
	Prstatus32Size = 144
)

// Segment is QEMUCPUSegment of target/i386/arch_dump.c.
type Segment struct {
	Selector, Limit, Flags, Pad uint32
	Base                        uint64
}

// CPU is QEMUCPUState, version 1, of target/i386/arch_dump.c.
type CPU struct {
	Version, Size                             uint32
	Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp    uint64
	R8, R9, R10, R11, R12, R13, R14, R15      uint64
	Rip, Rflags                               uint64
	CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT Segment
	CR                                        [5]uint64
	KernelGSBase                              uint64 // since QEMU 2.11
}

const (
	// CPUVersion is the only version of CPU.
	CPUVersion = 1
	// CPUSize is its size in bytes.
	CPUSize = 440
	// CPUSizeOld is its size without KernelGSBase, in bytes.
	CPUSizeOld = 432
)

var (
	_ = [1]byte{}[unsafe.Sizeof(Prstatus64{})-Prstatus64Size]
	_ = [1]byte{}[unsafe.Sizeof(CPU{})-CPUSize]
	_ = [1]byte{}[unsafe.Offsetof(CPU{}.KernelGSBase)-CPUSizeOld]
	_ = [1]byte{}[unsafe.Sizeof(Prstatus32{})-Prstatus32Size]
)
