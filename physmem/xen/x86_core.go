package xen

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"windmp/physmem"
)

// vcpuContext is vcpu_guest_context of x86-64 (Xen public headers arch-x86/xen.h,
// arch-x86/xen-x86_64.h). Of a hardware virtual machine Xen fills what is decoded here:
// no descriptor tables, no hidden parts of segment registers but bases of FS and GS, no
// EFER and no system call registers.
type vcpuContext struct {
	FX                                                                      [physmem.FXSize]byte
	Flags                                                                   uint64
	R15, R14, R13, R12, Rbp, Rbx, R11, R10, R9, R8, Rax, Rcx, Rdx, Rsi, Rdi uint64
	ErrorCode, EntryVector                                                  uint32
	Rip                                                                     uint64
	CS                                                                      uint16
	_                                                                       uint16
	_                                                                       [4]byte // event mask
	Rflags, Rsp                                                             uint64
	SS, _, _, _, ES, _, _, _, DS, _, _, _, FS, _, _, _, GS, _, _, _         uint16
	_                                                                       [256 * 16]byte // traps of a paravirtual guest
	_                                                                       [21]uint64     // its descriptor tables and stack
	Ctrl, Debug                                                             [8]uint64
	EventCallback, FailsafeCallback, SyscallCallback, VMAssist              uint64
	FSBase, GSBaseKernel, GSBaseUser                                        uint64
}

// contextSize is the size of vcpuContext.
const contextSize = 0x1430

var (
	_ = [1]byte{}[unsafe.Sizeof(vcpuContext{})-contextSize]
	_ = [1]byte{}[unsafe.Offsetof(vcpuContext{}.Rip)-0x288]
	_ = [1]byte{}[unsafe.Offsetof(vcpuContext{}.GS)-0x2c8]
	_ = [1]byte{}[unsafe.Offsetof(vcpuContext{}.Ctrl)-0x1378]
	_ = [1]byte{}[unsafe.Offsetof(vcpuContext{}.FSBase)-0x1418]
)

// contextFPU is VGCF_I387_VALID of vcpuContext.Flags.
const contextFPU = 1 << 0

// decodeContext decodes a vcpuContext.
func decodeContext(b []byte) *physmem.X86 {
	var v vcpuContext
	// It can only refuse a short buffer, and this one has the size.
	_, _ = binary.Decode(b, binary.LittleEndian, &v)
	selector := func(s uint16) physmem.Segment { return physmem.Segment{Selector: s} }
	x := &physmem.X86{
		Rax: v.Rax, Rbx: v.Rbx, Rcx: v.Rcx, Rdx: v.Rdx, Rsi: v.Rsi, Rdi: v.Rdi, Rsp: v.Rsp, Rbp: v.Rbp,
		R8: v.R8, R9: v.R9, R10: v.R10, R11: v.R11, R12: v.R12, R13: v.R13, R14: v.R14, R15: v.R15,
		Rip: v.Rip, Rflags: v.Rflags,
		CS: selector(v.CS), DS: selector(v.DS), ES: selector(v.ES), FS: selector(v.FS), GS: selector(v.GS), SS: selector(v.SS),
		HasSystem: true, NoTables: true,
		CR0: v.Ctrl[0], CR2: v.Ctrl[2], CR3: v.Ctrl[3], CR4: v.Ctrl[4],
		HasKernelGSBase: true,
		Debug: &physmem.DebugRegs{
			Dr0: v.Debug[0], Dr1: v.Debug[1], Dr2: v.Debug[2], Dr3: v.Debug[3], Dr6: v.Debug[6], Dr7: v.Debug[7],
		},
	}
	x.FS.Base = v.FSBase
	// Xen calls the base in use the kernel's where the processor ran at level 0, and
	// the user's elsewhere (xen/arch/x86/domctl.c, arch_get_info_guest).
	x.GS.Base, x.KernelGSBase = v.GSBaseKernel, v.GSBaseUser
	if x.CPL() != 0 {
		x.GS.Base, x.KernelGSBase = v.GSBaseUser, v.GSBaseKernel
	}
	if v.Flags&contextFPU != 0 {
		x.FX = bytes.Clone(v.FX[:])
	}
	return x
}

// narrow takes the processors of a core for 32-bit ones if none of them holds an address
// that only 64-bit code has: the core does not say it. A 64-bit kernel has one in the
// base of GS, or of its other, wherever it was stopped.
func narrow(cpus []physmem.CPU) {
	for _, c := range cpus {
		x := physmem.X86Of(c)
		if (x.GS.Base|x.KernelGSBase|x.Rip|x.Rsp)>>32 != 0 {
			return
		}
	}
	as32(cpus)
}

// as32 makes all processors 32-bit ones.
func as32(cpus []physmem.CPU) {
	for _, c := range cpus {
		physmem.X86Of(c).Is32 = true
	}
}
