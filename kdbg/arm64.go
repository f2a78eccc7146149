package kdbg

import (
	"encoding/binary"
	"unsafe"

	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// ARM64 is the kernel of 64-bit Arm. Offsets are those of one build, 22000, as its KDBG
// and the eight KPRCBs of a triage dump have them; the block states most of them itself,
// so that other builds may differ. What is made of pointers is as on x64, and so are the
// structures that no block describes.
var ARM64 = &Layout{
	PointerSize:  8,
	LowestKernel: 0xffff800000000000, // 47 bits in each half
	FirstImage:   X64.FirstImage, LastImage: X64.LastImage,
	SharedUserData: X64.SharedUserData,
	Image:          peimage.ARM64,
	// The code that encodes it is no processor's own. No encoded block of a real guest
	// was seen.
	Encodes: true,
	// What the one dump seen has is of a function that the kernel's own bug checks call,
	// too; how long KeBugCheckEx is in it is not known, and hardly more than this.
	StopCalls: true, StopReach: 0x100,
	Loader: X64.Loader,
	Process: ProcessLayout{
		ApcProcess: 0xb0, DirectoryTable: 0x28, NameFromPeb: []int{0x58, 0x50, 0x60},
	},
	Processor: ProcessorLayout{
		// Self is 0 in the KPCR of build 22000, though KDBG states a place for it.
		Prcb: 0x980, Number: 0x24, IdleThread: 0x18,
		SpecialRegisters: func(d *wire.Data) uint16 { return d.OffsetPrcbProcStateSpecialReg },
	},
	Specials: SpecialsLayout{Size: int(unsafe.Sizeof(specialsARM64{})), Decode: decodeSpecialsARM64, Edits: editSpecialsARM64},
}

// SpecialsARM64 are the special registers of 64-bit Arm that are read here.
type SpecialsARM64 struct {
	// TTBR0 and TTBR1 hold the roots of the two halves, with ASIDs above the address;
	// TCR says how the tables are laid out, MAIR what the kinds of memory in them are.
	TTBR0, TTBR1, TCR, MAIR uint64
	SCTLR, CPACR            uint64
	// VBAR is the table of exception vectors, VA.
	VBAR uint64
	// ELR and SPSR are of the last exception, ESR and FAR say what it was.
	ELR, SPSR, ESR, FAR uint64
	// TPIDR holds what software keeps per processor: that of EL1 the KPCR, those of EL0
	// the TEB, read-only the processor's number.
	TPIDREL0, TPIDRROEL0, TPIDREL1 uint64
}

// Root is TTBR0_EL1.
func (r *SpecialsARM64) Root() uint64 { return r.TTBR0 }

// CodeTable is none: there are no descriptor tables.
func (r *SpecialsARM64) CodeTable() Table { return Table{} }

// specialsARM64 is KARM64_SPECIAL_REGISTERS up to VBAR_EL1, as the KPRCBs of build 22000
// show it: their values are alike in all eight, and those of the architecture.
type specialsARM64 struct {
	ELR, SPSR                      uint64     // 0x00
	TPIDREL0, TPIDRROEL0, TPIDREL1 uint64     // 0x10
	Breakpoints                    [15]uint64 // 0x28, debug registers
	MIDR, SCTLR, ACTLR, CPACR      uint64     // 0xa0
	TCR, TTBR0, TTBR1              uint64     // 0xc0
	ESR, FAR                       uint64     // 0xd8
	Unread                         [68]uint64 // 0xe8, performance counters and others
	MAIR, VBAR                     uint64     // 0x308
}

var (
	_ [0x318]byte = [unsafe.Sizeof(specialsARM64{})]byte{}
	_ [0x308]byte = [unsafe.Offsetof(specialsARM64{}.MAIR)]byte{}
)

func decodeSpecialsARM64(b []byte) Specials {
	var w specialsARM64
	// It can only refuse a short buffer, and readers give one of this size.
	_, _ = binary.Decode(b, binary.LittleEndian, &w)
	return &SpecialsARM64{
		TTBR0: w.TTBR0, TTBR1: w.TTBR1, TCR: w.TCR, MAIR: w.MAIR, SCTLR: w.SCTLR, CPACR: w.CPACR, VBAR: w.VBAR,
		ELR: w.ELR, SPSR: w.SPSR, ESR: w.ESR, FAR: w.FAR,
		TPIDREL0: w.TPIDREL0, TPIDRROEL0: w.TPIDRROEL0, TPIDREL1: w.TPIDREL1,
	}
}

// editSpecialsARM64 has neither debug registers nor those of performance counters: they
// are kept.
func editSpecialsARM64(s Specials) []SpecialEdit {
	r, ok := s.(*SpecialsARM64)
	if !ok {
		return nil
	}
	const size = 8
	var w specialsARM64
	return []SpecialEdit{
		{vtop.VA(unsafe.Offsetof(w.ELR)), words(size, r.ELR, r.SPSR, r.TPIDREL0, r.TPIDRROEL0, r.TPIDREL1), "ELR_EL1, SPSR_EL1, TPIDR_EL0, TPIDRRO_EL0, TPIDR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.SCTLR)), words(size, r.SCTLR), "SCTLR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.CPACR)), words(size, r.CPACR, r.TCR, r.TTBR0, r.TTBR1, r.ESR, r.FAR), "CPACR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1, ESR_EL1, FAR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.MAIR)), words(size, r.MAIR, r.VBAR), "MAIR_EL1, VBAR_EL1"},
	}
}
