package vmcore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"windmp/physmem"
)

// VirtualBox' processor state as dumpvmcore writes it. Source of the layout:
// VirtualBox include/VBox/vmm/dbgfcorefmt.h and VMM/VMMR3/DBGFCoreWrite.cpp,
// and tetrane's reven, which reads the same files.

// vboxSelector is DBGFCORESEL. Attr has the layout of VT-x' access rights
// (Intel SDM volume 3, table 25-2): bits 8 to 23 of a descriptor's second
// doubleword, from bit 0 on, and bit 16 for a segment that cannot be used.
type vboxSelector struct {
	Base        uint64
	Limit, Attr uint32
	Selector    uint16
	Pad1        uint16
	Pad2        uint32
}

// vboxTable is DBGFCOREXDTR.
type vboxTable struct {
	Base       uint64
	Limit, Pad uint32
}

// vboxCPU is DBGFCORECPU up to where the format versions part, 0x228 bytes.
type vboxCPU struct {
	Rax, Rbx, Rcx, Rdx, Rsi, Rdi         uint64
	R8, R9, R10, R11, R12, R13, R14, R15 uint64
	Rip, Rsp, Rbp, Rflags                uint64

	CS, DS, ES, FS, GS, SS vboxSelector
	CR0, CR2, CR3, CR4     uint64
	DR                     [8]uint64 // 4 and 5 are aliases of 6 and 7
	GDT, IDT               vboxTable
	LDT, TR                vboxSelector

	SysenterCS, SysenterEIP, SysenterESP  uint64
	EFER, STAR, PAT, LSTAR, CSTAR, SFMASK uint64
	KernelGSBase, APICBase                uint64
}

// vboxTail is the end of DBGFCORECPU. In front of it format version 6 has
// IA32_TSC_AUX.
type vboxTail struct {
	XCR     [2]uint64
	ExtSize uint32 // bytes that are valid of what follows
	Pad     uint32
	FX      [physmem.FXSize]byte // the XSAVE area begins with the FXSAVE image
	Ext     [7680]byte           // and goes on to 8192 bytes
}

// vboxVersions are the format versions whose DBGFCORECPU is known, with its
// size. Version 1.0 writes VirtualBox' internal CPUMCTX instead, whose layout
// no file tells; of 1.1 to 1.3 nothing is published.
var vboxVersions = map[uint32]int{
	0x10004: 0x2240,
	0x10005: 0x2240,
	0x10006: 0x2248,
}

// decodeVBoxCPU decodes a VBCPU note of a format version that is known.
func decodeVBoxCPU(desc []byte, version uint32) (*vboxCPU, *vboxTail, error) {
	size, known := vboxVersions[version]
	if !known || len(desc) != size {
		return nil, nil, fmt.Errorf("VBCPU note of 0x%x bytes, want 0x%x in format %s", len(desc), size, vboxFormat(version))
	}
	head, tail := new(vboxCPU), new(vboxTail)
	if _, err := binary.Decode(desc, binary.LittleEndian, head); err != nil {
		return nil, nil, err
	}
	if _, err := binary.Decode(desc[size-binary.Size(tail):], binary.LittleEndian, tail); err != nil {
		return nil, nil, err
	}
	return head, tail, nil
}

// registers returns what the note says.
func (v *vboxCPU) registers(tail *vboxTail) *physmem.X86 {
	x := &physmem.X86{
		Rax: v.Rax, Rbx: v.Rbx, Rcx: v.Rcx, Rdx: v.Rdx,
		Rsi: v.Rsi, Rdi: v.Rdi, Rsp: v.Rsp, Rbp: v.Rbp,
		R8: v.R8, R9: v.R9, R10: v.R10, R11: v.R11,
		R12: v.R12, R13: v.R13, R14: v.R14, R15: v.R15,
		Rip: v.Rip, Rflags: v.Rflags,
		CS: v.CS.segment(), DS: v.DS.segment(), ES: v.ES.segment(),
		FS: v.FS.segment(), GS: v.GS.segment(), SS: v.SS.segment(),
		LDT: v.LDT.segment(), TR: v.TR.segment(),
		GDT:       physmem.Segment{Base: v.GDT.Base, Limit: v.GDT.Limit},
		IDT:       physmem.Segment{Base: v.IDT.Base, Limit: v.IDT.Limit},
		HasSystem: true, CR0: v.CR0, CR2: v.CR2, CR3: v.CR3, CR4: v.CR4,
		KernelGSBase: v.KernelGSBase, HasKernelGSBase: true,
		Debug: &physmem.DebugRegs{Dr0: v.DR[0], Dr1: v.DR[1], Dr2: v.DR[2], Dr3: v.DR[3], Dr6: v.DR[6], Dr7: v.DR[7]},
		MSR:   &physmem.MSRs{EFER: v.EFER, STAR: v.STAR, LSTAR: v.LSTAR, CSTAR: v.CSTAR, SFMASK: v.SFMASK, PAT: v.PAT},
	}
	if tail.ExtSize >= physmem.FXSize {
		x.FX = bytes.Clone(tail.FX[:])
	}
	return x
}

// segment returns the register with its flags where QEMU has them.
func (s vboxSelector) segment() physmem.Segment {
	return physmem.Segment{Selector: s.Selector, Limit: s.Limit, Base: s.Base, Flags: physmem.RightsFlags(s.Attr)}
}
