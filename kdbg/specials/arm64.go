package specials

import (
	"encoding/binary"
	"unsafe"

	"windmp/vtop"
)

// ARM64Values are the special registers of 64-bit Arm that are read here.
type ARM64Values struct {
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
func (r *ARM64Values) Root() uint64 { return r.TTBR0 }

// UpperRoot is TTBR1_EL1, which counts where each half has a table of its own.
func (r *ARM64Values) UpperRoot() uint64 { return r.TTBR1 }

// CodeTable is none: there are no descriptor tables.
func (r *ARM64Values) CodeTable() Table { return Table{} }

// Clone implements Registers.
func (r *ARM64Values) Clone() Registers { return new(*r) }

// specialsARM64 is KSPECIAL_REGISTERS and KARM64_ARCH_STATE behind it (the Windows SDK's
// ksarm64.h, of the time of build 22000 and of 24H2: Ks..., Aa...). The KPRCBs of build
// 22000 show the same: their values are alike in all eight, and those of the architecture.
type specialsARM64 struct {
	ELR                            uint64 // 0x00
	SPSR, _                        uint32
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

func decodeARM64(b []byte) Registers {
	var w specialsARM64
	// It can only refuse a short buffer, and readers give one of this size.
	_, _ = binary.Decode(b, binary.LittleEndian, &w)
	return &ARM64Values{
		TTBR0: w.TTBR0, TTBR1: w.TTBR1, TCR: w.TCR, MAIR: w.MAIR, SCTLR: w.SCTLR, CPACR: w.CPACR, VBAR: w.VBAR,
		ELR: w.ELR, SPSR: uint64(w.SPSR), ESR: w.ESR, FAR: w.FAR,
		TPIDREL0: w.TPIDREL0, TPIDRROEL0: w.TPIDRROEL0, TPIDREL1: w.TPIDREL1,
	}
}

// editARM64 has neither debug registers nor those of performance counters: they
// are kept.
func editARM64(s Registers) []Edit {
	r, ok := s.(*ARM64Values)
	if !ok {
		return nil
	}
	const size, spsr = 8, 1<<32 - 1
	var w specialsARM64
	return []Edit{
		{vtop.VA(unsafe.Offsetof(w.ELR)), words(size, r.ELR, r.SPSR&spsr, r.TPIDREL0, r.TPIDRROEL0, r.TPIDREL1), "ELR_EL1, SPSR_EL1, TPIDR_EL0, TPIDRRO_EL0, TPIDR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.SCTLR)), words(size, r.SCTLR), "SCTLR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.CPACR)), words(size, r.CPACR, r.TCR, r.TTBR0, r.TTBR1, r.ESR, r.FAR), "CPACR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1, ESR_EL1, FAR_EL1"},
		{vtop.VA(unsafe.Offsetof(w.MAIR)), words(size, r.MAIR, r.VBAR), "MAIR_EL1, VBAR_EL1"},
	}
}

// ARM64 is the codec of 64-bit Arm.
var ARM64 = Codec{Size: int(unsafe.Sizeof(specialsARM64{})), Decode: decodeARM64, Edits: editARM64}
