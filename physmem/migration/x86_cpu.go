package migration

import (
	"encoding/binary"

	"windmp/physmem"
)

// The section of an x86 processor (QEMU target/i386/machine.c, vmstate_x86_cpu), as
// qemu-system-x86_64 writes it: the same from the machine types of QEMU 2.5 on.
const (
	cpuVersion = 12
	// cpuVersionOld is accepted by QEMU too.
	cpuVersionOld = 11
)

// cpuSegment is a segment register, or a descriptor table register.
type cpuSegment struct {
	Selector     uint32
	Base         uint64
	Limit, Flags uint32
}

// cpuSTx is a register of the x87: mantissa, and sign and exponent.
type cpuSTx struct {
	Mantissa uint64
	SignExp  uint16
}

// cpuState is the part that every section begins with, 0x719 bytes, packed.
type cpuState struct {
	Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip, Rflags                            uint64
	HFlags                                 uint32 // QEMU's own, cpu.h HF_*

	ControlWord, StatusWord uint16
	Tag                     uint16 // a bit a register, 1 for one in use, as FXSAVE has it
	Format                  uint16 // 0: registers of 80 bits
	ST                      [8]cpuSTx

	ES, CS, SS, DS, FS, GS cpuSegment
	LDT, TR, GDT, IDT      cpuSegment

	SysenterCS               uint32
	SysenterESP, SysenterEIP uint64
	CR0, CR2, CR3, CR4       uint64
	DR                       [8]uint64 // 4 and 5 are aliases of 6 and 7
	A20Mask                  uint32
	MXCSR                    uint32
	XMM                      [16][2]uint64

	EFER, STAR, LSTAR, CSTAR, FMASK, KernelGSBase uint64
	SMBase                                        uint32
	PAT                                           uint64
	HFlags2                                       uint32

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
	YMMHigh          [16][2]uint64
}

// lma is the bit of HFlags of a processor in long mode, whatever its code segment is.
const lma = 1 << 14

// maxSelector is what a selector can be at most: more is another layout, that of
// qemu-system-i386.
const maxSelector = 0xffff

// decodeCPU decodes the data of a section; nil if it is too short, or of another layout.
func decodeCPU(b []byte) *cpuState {
	v := new(cpuState)
	if _, err := binary.Decode(b, binary.BigEndian, v); err != nil {
		return nil
	}
	for _, s := range []*cpuSegment{&v.ES, &v.CS, &v.SS, &v.DS, &v.FS, &v.GS, &v.LDT, &v.TR, &v.GDT, &v.IDT} {
		if s.Selector > maxSelector {
			return nil
		}
	}
	return v
}

// decodeX86 is decodeCPU for the table of sections.
func decodeX86(b []byte) cpu {
	if v := decodeCPU(b); v != nil {
		return v
	}
	return nil
}

// registers returns what the section says. The file is of a 32-bit machine if its first
// processor was not in long mode, as QEMU's dumps have it.
func (v *cpuState) registers(first cpu) physmem.Registers {
	x, ok := first.(*cpuState)
	return v.x86(ok && x.HFlags&lma == 0)
}

func (v *cpuState) x86(is32 bool) *physmem.X86 {
	return &physmem.X86{
		Is32: is32,
		Rax:  v.Rax, Rbx: v.Rbx, Rcx: v.Rcx, Rdx: v.Rdx,
		Rsi: v.Rsi, Rdi: v.Rdi, Rsp: v.Rsp, Rbp: v.Rbp,
		R8: v.R8, R9: v.R9, R10: v.R10, R11: v.R11,
		R12: v.R12, R13: v.R13, R14: v.R14, R15: v.R15,
		Rip: v.Rip, Rflags: v.Rflags,
		CS: v.CS.segment(), DS: v.DS.segment(), ES: v.ES.segment(),
		FS: v.FS.segment(), GS: v.GS.segment(), SS: v.SS.segment(),
		LDT: v.LDT.segment(), TR: v.TR.segment(), GDT: v.GDT.segment(), IDT: v.IDT.segment(),
		HasSystem: true, CR0: v.CR0, CR2: v.CR2, CR3: v.CR3, CR4: v.CR4,
		KernelGSBase: v.KernelGSBase, HasKernelGSBase: true,
		Debug: &physmem.DebugRegs{Dr0: v.DR[0], Dr1: v.DR[1], Dr2: v.DR[2], Dr3: v.DR[3], Dr6: v.DR[6], Dr7: v.DR[7]},
		MSR:   &physmem.MSRs{EFER: v.EFER, STAR: v.STAR, LSTAR: v.LSTAR, CSTAR: v.CSTAR, SFMASK: v.FMASK, PAT: v.PAT},
		FX:    v.fxsave(),
	}
}

func (s cpuSegment) segment() physmem.Segment {
	return physmem.Segment{Selector: uint16(s.Selector), Base: s.Base, Limit: s.Limit, Flags: s.Flags} //nolint:gosec // at most maxSelector
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

// fxsave returns the x87 and SSE state as FXSAVE64 stores it. The section does not say
// where the last x87 instruction and its operand were.
func (v *cpuState) fxsave() []byte {
	fx := make([]byte, physmem.FXSize)
	le := binary.LittleEndian
	le.PutUint16(fx, v.ControlWord)
	le.PutUint16(fx[fxStatus:], v.StatusWord)
	fx[fxTag] = byte(v.Tag & 0xff)
	le.PutUint32(fx[fxMXCSR:], v.MXCSR)
	le.PutUint32(fx[fxMask:], mxcsrMask)
	for i, st := range v.ST {
		le.PutUint64(fx[fxST+i*fxRegSize:], st.Mantissa)
		le.PutUint16(fx[fxST+i*fxRegSize+8:], st.SignExp)
	}
	for i, x := range v.XMM {
		le.PutUint64(fx[fxXMM+i*fxRegSize:], x[0])
		le.PutUint64(fx[fxXMM+i*fxRegSize+8:], x[1])
	}
	return fx
}
