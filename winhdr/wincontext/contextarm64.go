package wincontext

import (
	"fmt"
	"strings"
	"unsafe"

	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

// ContextSizeARM64 is the size of the Arm64 CONTEXT in bytes (winnt.h,
// ARM64_NT_CONTEXT).
const ContextSizeARM64 = 0x390

// ContextARM64 is the CONTEXT of 64-bit Arm (winnt.h, ARM64_NT_CONTEXT).
type ContextARM64 struct {
	ContextFlags FlagsARM64 // which registers are valid
	Cpsr         uint32     // PSTATE, in the form of SPSR_EL1
	X            [29]uint64 // X0 to X28
	Fp, Lr       uint64     // X29 and X30
	Sp, Pc       uint64
	V            [32]M128A
	Fpcr, Fpsr   uint32
	Bcr          [8]uint32 // control of the breakpoints
	Bvr          [8]uint64 // and their addresses
	Wcr          [2]uint32 // of the watchpoints
	Wvr          [2]uint64
}

var _ = [1]byte{}[unsafe.Sizeof(ContextARM64{})-ContextSizeARM64]

// DecodeContextARM64 decodes b, which must hold ContextSizeARM64 bytes: less or more
// is a *fields.SizeError. Nothing else is judged, see Plausible.
func DecodeContextARM64(b []byte) (*ContextARM64, error) {
	return fields.Decode[ContextARM64]("Arm64 context", b, ContextSizeARM64)
}

// Machine is MachineARM64.
func (c *ContextARM64) Machine() uint32 { return MachineARM64 }

// IP is Pc.
func (c *ContextARM64) IP() uint64 { return c.Pc }

// SP is Sp.
func (c *ContextARM64) SP() uint64 { return c.Sp }

// Mode goes by the exception level in Cpsr, of a CONTEXT that has one.
func (c *ContextARM64) Mode() string {
	switch {
	case !c.ContextFlags.Has(ContextControlARM64):
		return ""
	case c.Cpsr&modeARM32 != 0:
		return "user (32-bit code)"
	case c.level() == 0:
		return "user (EL0)"
	default:
		return "kernel"
	}
}

// Arguments are X0 to X7 (the procedure call standard of Arm64).
func (c *ContextARM64) Arguments() []uint64 { return append([]uint64(nil), c.X[:8]...) }

// Encode returns the ContextSizeARM64 bytes of c.
func (c *ContextARM64) Encode() []byte { return fields.Encode(c, ContextSizeARM64) }

// Bits of Cpsr (Arm ARM, SPSR_EL1): M[3:0], of which bits 2 and 3 are the exception
// level and bit 0 says whether it has a stack pointer of its own, bit 1 is always
// clear; and M[4], set for 32-bit code.
const (
	modeBits   uint32 = 0xf
	modeLevel  uint32 = 0xc
	modeEL0t   uint32 = 0
	modeEL1t   uint32 = 4 // in which Windows' kernel runs (seen in build 22000)
	modeEL1h   uint32 = 5
	modeARM32  uint32 = 1 << 4
	levelShift        = 2
)

// level is the exception level.
func (c *ContextARM64) level() uint32 { return c.Cpsr & modeLevel >> levelShift }

// CheckMode refuses 32-bit code.
func (c *ContextARM64) CheckMode() error {
	if c.Cpsr&modeARM32 != 0 {
		return contextProblem("Cpsr", unsafe.Offsetof(c.Cpsr), problem.Hex(c.Cpsr), "bit 4 clear, as in 64-bit code").Saying(faultMode)
	}
	return nil
}

// Plausible says whether c can be what Windows saved of a processor in 64-bit code,
// kernel or user: nil, or a Problem with the first field that speaks against it. The
// order is that of ContextFlags, Cpsr, Pc, Sp.
func (c *ContextARM64) Plausible() error {
	if !c.ContextFlags.Has(ContextControlARM64|ContextIntegerARM64) || uint32(c.ContextFlags)&uint32(architectureBits) != uint32(ContextArchARM64) {
		return contextProblem("ContextFlags", unsafe.Offsetof(c.ContextFlags), problem.Hex(c.ContextFlags),
			fmt.Sprintf("at least %v, and no other architecture", ContextControlARM64|ContextIntegerARM64)).Saying(faultContext)
	}
	if err := c.CheckMode(); err != nil {
		return err
	}
	switch c.Cpsr & modeBits {
	case modeEL0t, modeEL1t, modeEL1h:
	default:
		return contextProblem("Cpsr", unsafe.Offsetof(c.Cpsr), problem.Hex(c.Cpsr), "a mode of EL0 or EL1")
	}
	if !canonicalARM64(c.Pc) || c.Pc%4 != 0 {
		return contextProblem("Pc", unsafe.Offsetof(c.Pc), problem.Hex(c.Pc), "a canonical address of an instruction")
	}
	if !canonicalARM64(c.Sp) {
		return contextProblem("Sp", unsafe.Offsetof(c.Sp), problem.Hex(c.Sp), "a canonical address")
	}
	return nil
}

// PlausibleSaved is Plausible for what Windows saves at a crash of a processor that was
// in the kernel, in a process, or in 32-bit code of one. Of one in the kernel Pc and Sp
// must be the kernel's.
func (c *ContextARM64) PlausibleSaved() error {
	own := *c
	if c.Cpsr&modeARM32 != 0 {
		own.Cpsr, own.Pc = modeEL0t, c.Pc&^3 // T32 code begins at even addresses
	}
	if err := own.Plausible(); err != nil {
		return err
	}
	if own.level() == 0 {
		return nil
	}
	if c.Pc < KernelStartARM64 {
		return contextProblem("Pc", unsafe.Offsetof(c.Pc), problem.Hex(c.Pc), "a kernel address")
	}
	if c.Sp < KernelStartARM64 {
		return contextProblem("Sp", unsafe.Offsetof(c.Sp), problem.Hex(c.Sp), "a kernel address")
	}
	return nil
}

const (
	// KernelStartARM64 and userEndARM64 are the halves of the address space: TCR_EL1 of
	// build 22000 gives 47 bits to each.
	KernelStartARM64 uint64 = 0xffff8000_00000000
	userEndARM64     uint64 = 1 << 47
)

func canonicalARM64(va uint64) bool { return va < userEndARM64 || va >= KernelStartARM64 }

// CheckForReaders returns nil: nobody was seen to refuse any.
func (c *ContextARM64) CheckForReaders() error { return nil }

// ForHeader returns a copy.
func (c *ContextARM64) ForHeader() Context { return c.Clone() }

// Clone returns a copy.
func (c *ContextARM64) Clone() Context { return new(*c) }

// Same compares all but ContextFlags: FloatRegisters are V, Fpcr and Fpsr, and
// DebugRegisters the breakpoints and watchpoints.
func (c *ContextARM64) Same(other Context, more RegisterSet) bool {
	o, ok := other.(*ContextARM64)
	if !ok {
		return false
	}
	a := *c
	a.ContextFlags = o.ContextFlags
	if !more.Has(DebugRegisters) {
		a.Bcr, a.Bvr, a.Wcr, a.Wvr = o.Bcr, o.Bvr, o.Wcr, o.Wvr
	}
	if !more.Has(FloatRegisters) {
		a.V, a.Fpcr, a.Fpsr = o.V, o.Fpcr, o.Fpsr
	}
	return a == *o
}

// FlagsARM64 says which registers of a ContextARM64 are valid (CONTEXT_* of winnt.h).
type FlagsARM64 uint32

// The parts of an Arm64 context. Each holds ContextArchARM64, as in winnt.h.
const (
	// ContextArchARM64 marks the context as an Arm64 one.
	ContextArchARM64 FlagsARM64 = 0x400000
	// ContextControlARM64 is Fp, Lr, Sp, Pc and Cpsr.
	ContextControlARM64 = ContextArchARM64 | 0x1
	// ContextIntegerARM64 is X0 to X28.
	ContextIntegerARM64 = ContextArchARM64 | 0x2
	// ContextFloatingPointARM64 is V, Fpcr and Fpsr.
	ContextFloatingPointARM64 = ContextArchARM64 | 0x4
	// ContextDebugRegistersARM64 is Bcr, Bvr, Wcr and Wvr.
	ContextDebugRegistersARM64 = ContextArchARM64 | 0x8

	// ContextFullARM64 is what Windows sets in the contexts that it saves at a crash
	// (seen in build 22000), CONTEXT_FULL of winnt.h.
	ContextFullARM64 = ContextControlARM64 | ContextIntegerARM64 | ContextFloatingPointARM64
)

// Has reports whether all bits of want are set.
func (f FlagsARM64) Has(want FlagsARM64) bool { return f&want == want }

// String names the parts, as in "ARM64|CONTROL|INTEGER", and gives bits without a
// name in hex.
func (f FlagsARM64) String() string {
	var parts []string
	if f.Has(ContextArchARM64) {
		parts = append(parts, "ARM64")
		f &^= ContextArchARM64
	}
	for i, name := range []string{"CONTROL", "INTEGER", "FLOATING_POINT", "DEBUG_REGISTERS"} {
		if bit := FlagsARM64(1) << i; f.Has(bit) {
			parts = append(parts, name)
			f &^= bit
		}
	}
	if f != 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("0x%x", uint32(f)))
	}
	return strings.Join(parts, "|")
}
