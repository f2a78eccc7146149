package physmem

import "bytes"

// The kinds of x86 machines, as a container names them.
const (
	MachineX64 Machine = "x64" // 64-bit
	MachineX86 Machine = "x86" // 32-bit
)

// A Segment is a segment register with its hidden part, or a descriptor table
// register (Selector and Flags 0).
type Segment struct {
	Selector uint16
	Limit    uint32
	// Flags is the second doubleword of the segment's descriptor as QEMU keeps
	// it (target/i386/cpu.h, DESC_*): type in bits 8-11, S 12, DPL 13-14, P 15,
	// AVL 20, L 21, D/B 22, G 23.
	Flags uint32
	Base  uint64
}

// X86 are the registers of an x86 processor, 64-bit or 32-bit.
type X86 struct {
	// Is32 is set when the file records the processor as a 32-bit one: Rax is
	// then eax, Rip eip and so on, R8 to R15 are nothing, and FS takes the part
	// that GS has in 64-bit systems.
	Is32 bool

	Rax, Rbx, Rcx, Rdx, Rsi, Rdi, Rsp, Rbp uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip, Rflags                            uint64

	CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT Segment

	// HasSystem is set when the file gives the descriptor tables, the hidden
	// parts of the segment registers and the control registers. Without it,
	// only the selectors and the bases of FS and GS are known.
	HasSystem          bool
	CR0, CR2, CR3, CR4 uint64
	// NoTables is set when, with HasSystem, the file has the control registers, and
	// neither the descriptor tables nor the hidden parts of segment registers but the
	// bases of FS and GS: Xen's cores.
	NoTables bool

	// KernelGSBase is IA32_KERNEL_GS_BASE, which SWAPGS exchanges with the
	// base of GS. Files of older writers lack it.
	KernelGSBase    uint64
	HasKernelGSBase bool

	// The rest is nil where the file does not carry it: QEMU's notes have none
	// of it, VirtualBox's have all.

	// Debug are the debug registers.
	Debug *DebugRegs
	// MSR are model-specific registers of the system.
	MSR *MSRs
	// FX is the x87 and SSE state with MXCSR as FXSAVE64 stores it: 512 bytes
	// (Intel SDM volume 1, section 10.5.1).
	FX []byte
}

// X86Of returns the registers of an x86 processor, nil if c is another one.
func X86Of(c CPU) *X86 {
	x, _ := c.Registers.(*X86)
	return x
}

// Machine implements Registers.
func (c *X86) Machine() Machine {
	if c.Is32 {
		return MachineX86
	}
	return MachineX64
}

// Clone implements Registers.
func (c *X86) Clone() Registers {
	x := *c
	x.FX = bytes.Clone(c.FX)
	if x.Debug != nil {
		x.Debug = new(*x.Debug)
	}
	if x.MSR != nil {
		x.MSR = new(*x.MSR)
	}
	return &x
}

// FXSize is the size of X86.FX.
const FXSize = 512

// DebugRegs are the debug registers (Intel SDM volume 3, section 18.2).
type DebugRegs struct {
	Dr0, Dr1, Dr2, Dr3 uint64
	Dr6, Dr7           uint64
}

// MSRs are the model-specific registers that 64-bit system code depends on
// (Intel SDM volume 4, table 2-2). IA32_KERNEL_GS_BASE is X86.KernelGSBase.
type MSRs struct {
	EFER   uint64 // IA32_EFER, 0xc0000080
	STAR   uint64 // IA32_STAR, 0xc0000081: selectors of SYSCALL and SYSRET
	LSTAR  uint64 // IA32_LSTAR, 0xc0000082: where SYSCALL of 64-bit code goes
	CSTAR  uint64 // IA32_CSTAR, 0xc0000083: the same of compatibility mode
	SFMASK uint64 // IA32_FMASK, 0xc0000084: flags that SYSCALL clears
	PAT    uint64 // IA32_PAT, 0x277
}

// CR4PAE is the bit of CR4 that gives page-table entries 64 bits (Intel SDM volume
// 3, section 2.5). It is always set in 64-bit mode.
const CR4PAE = 1 << 5

// PAE reports whether the processor used physical-address extension, so that the
// page tables of 32-bit code have entries of 8 bytes.
func (c *X86) PAE() bool { return c.CR4&CR4PAE != 0 }

// CR4LA57 is the bit of CR4 that selects 5-level paging (Intel SDM volume 3,
// section 2.5).
const CR4LA57 = 1 << 12

// EFERLMA is the bit of EFER that is set in 64-bit and compatibility mode (Intel SDM
// volume 3, section 2.2.1).
const EFERLMA = 1 << 10

// SegmentLong is L of the flags of a code segment: it holds 64-bit code (Intel SDM volume
// 3, section 3.4.5). SegmentFlags are all bits of a descriptor's second word that are
// flags.
const (
	SegmentLong  = 1 << 21
	SegmentFlags = 0x00f0ff00
)

// RightsFlags are the flags of a segment with the access rights of VT-x: bits 8 to 23 of a
// descriptor's second word from bit 0 on, and bit 16 set for one that can't be used (Intel
// SDM volume 3, section 24.4.1). That has none, as in QEMU (target/i386/kvm/kvm.c,
// get_seg).
func RightsFlags(rights uint32) uint32 {
	const unusable = 1 << 16
	if rights&unusable != 0 {
		return 0
	}
	return rights << 8 & SegmentFlags
}

// CPL returns the privilege level that the processor ran at, 0 to 3. In 64-bit
// code that is the requested privilege level of CS.
func (c *X86) CPL() int { return int(c.CS.Selector & 3) }

// LA57 reports whether the processor used 5-level paging.
func (c *X86) LA57() bool { return c.CR4&CR4LA57 != 0 }

// KernelFS returns the base of FS that a 32-bit kernel uses, which is its processor's
// KPCR; 0 if the processor was in user mode, where nothing in the file says it.
func (c *X86) KernelFS() uint64 {
	if c.Is32 && c.CPL() == 0 {
		return c.FS.Base
	}
	return 0
}

// KernelGS returns the base of GS that the kernel uses: the current one at
// privilege level 0, the one that SWAPGS would bring in otherwise; 0 if the
// file does not say it. In the few instructions of an interrupt entry before
// SWAPGS the two are exchanged, so the caller must check what it finds there.
func (c *X86) KernelGS() uint64 {
	if c.CPL() == 0 {
		return c.GS.Base
	}
	return c.KernelGSBase
}
