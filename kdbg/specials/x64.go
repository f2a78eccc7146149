package specials

import (
	"encoding/binary"
	"unsafe"

	"windmp/vtop"
)

// descriptor64 is KDESCRIPTOR of x64: what LGDT and LIDT load.
type descriptor64 struct {
	Pad   [3]uint16
	Limit uint16 // bytes - 1
	Base  uint64 // VA
}

func (d descriptor64) table() Table { return Table{Limit: d.Limit, Base: vtop.VA(d.Base)} }

// specials64 is KSPECIAL_REGISTERS of x64 up to MsrSyscallMask (types in
// ntoskrnl's public symbols). Newer builds append fields.
type specials64 struct {
	Cr0, Cr2, Cr3, Cr4                       uint64 // 0x00
	KernelDr0, KernelDr1, KernelDr2          uint64 // 0x20
	KernelDr3, KernelDr6, KernelDr7          uint64 // 0x38
	Gdtr, Idtr                               descriptor64
	Tr, Ldtr                                 uint16 // 0x70, selectors
	MxCsr                                    uint32 // 0x74
	DebugControl                             uint64 // 0x78, MSR IA32_DEBUGCTL
	LastBranchToRip, LastBranchFromRip       uint64 // 0x80
	LastExceptionToRip, LastExceptionFromRip uint64 // 0x90
	Cr8                                      uint64 // 0xa0
	MsrGsBase, MsrGsSwap                     uint64 // 0xa8
	MsrStar, MsrLStar, MsrCStar              uint64 // 0xb8
	MsrSyscallMask                           uint64 // 0xd0
}

var _ [0xd8]byte = [unsafe.Sizeof(specials64{})]byte{}

func decode64(b []byte) Registers {
	var w specials64
	// It can only refuse a short buffer, and readers give one of this size.
	_, _ = binary.Decode(b, binary.LittleEndian, &w)
	return &X86Values{
		Cr0: w.Cr0, Cr2: w.Cr2, Cr3: w.Cr3, Cr4: w.Cr4,
		Gdtr: w.Gdtr.table(), Idtr: w.Idtr.table(), Tr: w.Tr, Ldtr: w.Ldtr,
		Debug: &DebugRegisters{Dr0: w.KernelDr0, Dr1: w.KernelDr1, Dr2: w.KernelDr2, Dr3: w.KernelDr3, Dr6: w.KernelDr6, Dr7: w.KernelDr7},
		MxCsr: &w.MxCsr,
		MSR: &SystemMSRs{
			GsBase: w.MsrGsBase, GsSwap: w.MsrGsSwap,
			Star: w.MsrStar, LStar: w.MsrLStar, CStar: w.MsrCStar, FMask: w.MsrSyscallMask,
		},
	}
}

// edit64 has no Cr8, which no source carries, and no LDTR: they are kept.
func edit64(s Registers) []Edit {
	r, ok := s.(*X86Values)
	if !ok {
		return nil
	}
	const size = 8
	var w specials64
	limit := unsafe.Offsetof(w.Gdtr.Limit)
	list := r.commonEdits(size, unsafe.Offsetof(w.Cr0), unsafe.Offsetof(w.Gdtr)+limit, unsafe.Offsetof(w.Idtr)+limit, unsafe.Offsetof(w.Tr))
	if r.Debug != nil {
		list = append(list, r.Debug.edit(size, unsafe.Offsetof(w.KernelDr0)))
	}
	if r.MxCsr != nil {
		list = append(list, Edit{vtop.VA(unsafe.Offsetof(w.MxCsr)), binary.LittleEndian.AppendUint32(nil, *r.MxCsr), "MXCSR"})
	}
	if m := r.MSR; m != nil {
		list = append(list, Edit{
			vtop.VA(unsafe.Offsetof(w.MsrGsBase)), words(size, m.GsBase, m.GsSwap, m.Star, m.LStar, m.CStar, m.FMask),
			"GS bases, STAR, LSTAR, CSTAR, SFMASK",
		})
	}
	return list
}

// X64 is the codec of x64.
var X64 = Codec{Size: int(unsafe.Sizeof(specials64{})), Decode: decode64, Edits: edit64}
