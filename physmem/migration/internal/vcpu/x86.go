package vcpu

import (
	"bytes"
	"encoding/binary"

	"windmp/physmem"
)

// The section of an x86 processor (QEMU target/i386/machine.c, vmstate_x86_cpu): the same
// from the machine types of QEMU 2.5 on.
const (
	cpuVersion = 12
	// cpuVersionOld is accepted by QEMU too.
	cpuVersionOld = 11
)

// A word is the width of a processor's registers in the stream: that of the program that
// wrote it, whatever the guest is.
type word interface{ uint32 | uint64 }

// cpuSegment is a segment register, or a descriptor table register.
type cpuSegment[W word] struct {
	Selector     uint32
	Base         W
	Limit, Flags uint32
}

// cpuSTx is a register of the x87: mantissa, and sign and exponent.
type cpuSTx struct {
	Mantissa uint64
	SignExp  uint16
}

// cpuX87 is the x87 but for where its last instruction was.
type cpuX87 struct {
	ControlWord, StatusWord uint16
	Tag                     uint16 // a bit a register, 1 for one in use, as FXSAVE has it
	Format                  uint16 // 0: registers of 80 bits
	ST                      [8]cpuSTx
}

// cpuSystem is what follows the x87.
type cpuSystem[W word] struct {
	ES, CS, SS, DS, FS, GS cpuSegment[W]
	LDT, TR, GDT, IDT      cpuSegment[W]

	SysenterCS               uint32
	SysenterESP, SysenterEIP W
	CR0, CR2, CR3, CR4       W
	DR                       [8]W // 4 and 5 are aliases of 6 and 7
	A20Mask                  uint32
	MXCSR                    uint32
}

// cpuSyscalls are the MSRs of long mode.
type cpuSyscalls struct{ EFER, STAR, LSTAR, CSTAR, FMASK, KernelGSBase uint64 }

// cpuRest is what follows them, all of a size.
type cpuRest struct {
	SMBase  uint32
	PAT     uint64
	HFlags2 uint32

	VMHSave, VMCB, TSCOffset, Intercept uint64
	InterceptCR, InterceptDR            [2]uint16
	InterceptExceptions                 uint32
	VTPR                                byte

	MTRRFixed        [11]uint64
	MTRRType         uint64
	MTRRVariable     [8][2]uint64
	Interrupt        uint32
	MPState          uint32
	TSC              uint64
	Exception        uint32
	Pending          [4]byte
	SIPIVector       uint32
	MCGStatus        [3]uint64
	MCEBanks         [40]uint64
	TSCAux           uint64
	SystemTime, Wall uint64
	XCR0, XStateBV   uint64
}

// cpuState is the part that every section of qemu-system-x86_64 begins with, 0x719 bytes,
// packed.
type cpuState struct {
	Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip, Rflags                            uint64
	HFlags                                 uint32 // QEMU's own, cpu.h HF_*
	cpuX87
	cpuSystem[uint64]
	XMM [16][2]uint64
	cpuSyscalls
	cpuRest
	YMMHigh [16][2]uint64
}

// cpuState32 is that part as qemu-system-i386 writes it, 0x521 bytes: words of 4 bytes,
// half as many registers, and no long mode.
type cpuState32 struct {
	Eax, Ecx, Edx, Ebx, Esp, Ebp, Esi, Edi uint32
	Eip, Eflags                            uint32
	HFlags                                 uint32
	cpuX87
	cpuSystem[uint32]
	XMM [8][2]uint64
	cpuRest
	YMMHigh [8][2]uint64
}

// subsection begins a subsection of a section (QEMU migration/savevm.h,
// QEMU_VM_SUBSECTION).
const subsection = 0x05

// lma is the bit of HFlags of a processor in long mode, whatever its code segment is.
const lma = 1 << 14

// maxSelector is what a selector can be at most: more is another layout.
const maxSelector = 0xffff

// hasSelectors reports whether all selectors can be some.
func (s *cpuSystem[W]) hasSelectors() bool {
	for _, x := range []*cpuSegment[W]{&s.ES, &s.CS, &s.SS, &s.DS, &s.FS, &s.GS, &s.LDT, &s.TR, &s.GDT, &s.IDT} {
		if x.Selector > maxSelector {
			return false
		}
	}
	return true
}

// cpuSub begins a subsection of a processor: a mark, the length of the name, and that.
const cpuSub = "cpu/"

// ends reports whether the part that every section begins with can end in front of b,
// which is the rest of the section.
func ends(b []byte) bool {
	const nameAt = 2
	return len(b) == 0 || b[0] == subsection && len(b) > nameAt && bytes.HasPrefix(b[nameAt:], []byte(cpuSub))
}

// decodeX86 decodes the data of a section; nil if it is too short, or of another layout.
// Nothing says which of the two programs wrote it: that of 32 bits did where the section,
// or its first part, ends as its own does.
func decodeX86(b []byte) State {
	narrow := new(cpuState32)
	if n, err := binary.Decode(b, binary.BigEndian, narrow); err == nil && ends(b[n:]) && narrow.hasSelectors() {
		return narrow
	}
	wide := new(cpuState)
	if _, err := binary.Decode(b, binary.BigEndian, wide); err == nil && wide.hasSelectors() {
		return wide
	}
	return nil
}

// Registers returns what the section says. The file is of a 32-bit machine if its first
// processor was not in long mode, as QEMU's dumps have it.
func (v *cpuState) Registers(first State) physmem.Registers {
	x, ok := first.(*cpuState)
	out := v.registersOf(ok && x.HFlags&lma == 0)
	out.Rax, out.Rbx, out.Rcx, out.Rdx = v.Rax, v.Rbx, v.Rcx, v.Rdx
	out.Rsi, out.Rdi, out.Rsp, out.Rbp = v.Rsi, v.Rdi, v.Rsp, v.Rbp
	out.R8, out.R9, out.R10, out.R11 = v.R8, v.R9, v.R10, v.R11
	out.R12, out.R13, out.R14, out.R15 = v.R12, v.R13, v.R14, v.R15
	out.Rip, out.Rflags = v.Rip, v.Rflags
	out.KernelGSBase, out.HasKernelGSBase = v.KernelGSBase, true
	out.MSR = &physmem.MSRs{EFER: v.EFER, STAR: v.STAR, LSTAR: v.LSTAR, CSTAR: v.CSTAR, SFMASK: v.FMASK, PAT: v.PAT}
	out.FX = v.fxsave(v.MXCSR, v.XMM[:])
	return out
}

// Registers returns what the section says. It has no MSRs but PAT.
func (v *cpuState32) Registers(State) physmem.Registers {
	out := v.registersOf(true)
	out.Rax, out.Rbx, out.Rcx, out.Rdx = uint64(v.Eax), uint64(v.Ebx), uint64(v.Ecx), uint64(v.Edx)
	out.Rsi, out.Rdi, out.Rsp, out.Rbp = uint64(v.Esi), uint64(v.Edi), uint64(v.Esp), uint64(v.Ebp)
	out.Rip, out.Rflags = uint64(v.Eip), uint64(v.Eflags)
	out.FX = v.fxsave(v.MXCSR, v.XMM[:])
	return out
}

// registersOf returns the registers that both programs write alike.
func (s *cpuSystem[W]) registersOf(is32 bool) *physmem.X86 {
	dr := func(i int) uint64 { return uint64(s.DR[i]) }
	return &physmem.X86{
		Is32: is32,
		CS:   s.CS.segment(), DS: s.DS.segment(), ES: s.ES.segment(),
		FS: s.FS.segment(), GS: s.GS.segment(), SS: s.SS.segment(),
		LDT: s.LDT.segment(), TR: s.TR.segment(), GDT: s.GDT.segment(), IDT: s.IDT.segment(),
		HasSystem: true, CR0: uint64(s.CR0), CR2: uint64(s.CR2), CR3: uint64(s.CR3), CR4: uint64(s.CR4),
		Debug: &physmem.DebugRegs{Dr0: dr(0), Dr1: dr(1), Dr2: dr(2), Dr3: dr(3), Dr6: dr(6), Dr7: dr(7)},
	}
}

func (s cpuSegment[W]) segment() physmem.Segment {
	return physmem.Segment{Selector: uint16(s.Selector), Base: uint64(s.Base), Limit: s.Limit, Flags: s.Flags} //nolint:gosec // at most maxSelector
}

// Places in the area of FXSAVE64 (Intel SDM volume 1, section 10.5.1).
const (
	fxStatus  = 2
	fxTag     = 4
	fxMXCSR   = 24
	fxMask    = 28
	fxST      = 32
	fxXMM     = 160
	fxRegSize = 16
	// mxcsrMask says that all bits of MXCSR may be set, as on every processor with SSE2.
	mxcsrMask = 0xffff
)

// fxsave returns the x87 and SSE state as FXSAVE stores it. The section does not say
// where the last x87 instruction and its operand were.
func (v *cpuX87) fxsave(mxcsr uint32, xmm [][2]uint64) []byte {
	fx := make([]byte, physmem.FXSize)
	le := binary.LittleEndian
	le.PutUint16(fx, v.ControlWord)
	le.PutUint16(fx[fxStatus:], v.StatusWord)
	fx[fxTag] = byte(v.Tag & 0xff)
	le.PutUint32(fx[fxMXCSR:], mxcsr)
	le.PutUint32(fx[fxMask:], mxcsrMask)
	for i, st := range v.ST {
		le.PutUint64(fx[fxST+i*fxRegSize:], st.Mantissa)
		le.PutUint16(fx[fxST+i*fxRegSize+8:], st.SignExp)
	}
	for i, x := range xmm {
		le.PutUint64(fx[fxXMM+i*fxRegSize:], x[0])
		le.PutUint64(fx[fxXMM+i*fxRegSize+8:], x[1])
	}
	return fx
}
