package wincontext

import (
	"fmt"
	"strings"
	"unsafe"

	"windmp/winhdr/fields"
)

// ContextSize32 is the size of the x86 CONTEXT in bytes (winnt.h). QEMU's dumps
// zero 4 bytes more behind each, as its own C type is padded to 0x2d0.
const ContextSize32 = 0x2cc

// FloatingSaveArea is FLOATING_SAVE_AREA of winnt.h: what FNSAVE writes (Intel
// SDM vol. 1, 8.1.10) and a word of Windows' own.
type FloatingSaveArea struct {
	ControlWord   uint32
	StatusWord    uint32
	TagWord       uint32
	ErrorOffset   uint32
	ErrorSelector uint32
	DataOffset    uint32
	DataSelector  uint32
	RegisterArea  [80]byte
	Cr0NpxState   uint32 // "Spare0" in newer headers
}

// Context32 is the x86 CONTEXT (winnt.h): the registers of a processor.
type Context32 struct {
	ContextFlags      ContextFlags32 // which registers are valid
	Dr0               uint32
	Dr1               uint32
	Dr2               uint32
	Dr3               uint32
	Dr6               uint32
	Dr7               uint32
	FloatSave         FloatingSaveArea
	SegGs             uint32
	SegFs             uint32
	SegEs             uint32
	SegDs             uint32
	Edi               uint32
	Esi               uint32
	Ebx               uint32
	Edx               uint32
	Ecx               uint32
	Eax               uint32
	Ebp               uint32
	Eip               uint32
	SegCs             uint32
	EFlags            uint32
	Esp               uint32
	SegSs             uint32
	ExtendedRegisters [512]byte // FXSAVE
}

var (
	_ = [1]byte{}[unsafe.Sizeof(Context32{})-ContextSize32]
	_ = [1]byte{}[unsafe.Sizeof(FloatingSaveArea{})-112]
)

// DecodeContext32 decodes b, which must hold ContextSize32 bytes: less or more
// is a *fields.SizeError. Nothing else is judged, see Plausible.
func DecodeContext32(b []byte) (*Context32, error) {
	return fields.Decode[Context32]("32-bit context", b, ContextSize32)
}

// Machine is MachineI386.
func (c *Context32) Machine() uint32 { return MachineI386 }

// IP is Eip.
func (c *Context32) IP() uint64 { return uint64(c.Eip) }

// SP is Esp.
func (c *Context32) SP() uint64 { return uint64(c.Esp) }

// Mode goes by SegCs, whose upper half has no meaning.
func (c *Context32) Mode() string { return modeOf(uint16(c.SegCs & 0xffff)) }

// Arguments is nil: the stack passes them (stdcall).
func (c *Context32) Arguments() []uint64 { return nil }

// Encode returns the ContextSize32 bytes of c.
func (c *Context32) Encode() []byte {
	return fields.Encode(c, ContextSize32)
}

// CheckMode returns nil: a 32-bit guest has no other code.
func (c *Context32) CheckMode() error { return nil }

// CheckForReaders returns nil: nobody was seen to refuse any.
func (c *Context32) CheckForReaders() error { return nil }

// ForHeader returns a copy.
func (c *Context32) ForHeader() Context { return c.Clone() }

// Clone returns a copy.
func (c *Context32) Clone() Context { return new(*c) }

// Same compares all but FloatSave, which no source carries, and ContextFlags.
func (c *Context32) Same(other Context, more RegisterSet) bool {
	o, ok := other.(*Context32)
	if !ok {
		return false
	}
	a := *c
	a.ContextFlags, a.FloatSave = o.ContextFlags, o.FloatSave
	if !more.Has(DebugRegisters) {
		a.Dr0, a.Dr1, a.Dr2, a.Dr3, a.Dr6, a.Dr7 = o.Dr0, o.Dr1, o.Dr2, o.Dr3, o.Dr6, o.Dr7
	}
	if !more.Has(FloatRegisters) {
		a.ExtendedRegisters = o.ExtendedRegisters
	}
	return a == *o
}

// ContextFlags32 says which registers of a Context32 are valid (CONTEXT_* of
// winnt.h).
type ContextFlags32 uint32

// The parts of an x86 context. Each holds ContextI386, as in winnt.h.
const (
	// ContextI386 marks the context as an x86 one.
	ContextI386 ContextFlags32 = 0x10000
	// ContextControl32 is SegSs, Esp, SegCs, Eip, EFlags and Ebp.
	ContextControl32 = ContextI386 | 0x1
	// ContextInteger32 is Eax, Ebx, Ecx, Edx, Esi and Edi.
	ContextInteger32 = ContextI386 | 0x2
	// ContextSegments32 is SegDs, SegEs, SegFs and SegGs.
	ContextSegments32 = ContextI386 | 0x4
	// ContextFloatingPoint32 is FloatSave.
	ContextFloatingPoint32 = ContextI386 | 0x8
	// ContextDebugRegisters32 is Dr0 to Dr7.
	ContextDebugRegisters32 = ContextI386 | 0x10
	// ContextExtendedRegisters32 is ExtendedRegisters.
	ContextExtendedRegisters32 = ContextI386 | 0x20

	// ContextQEMU32 is what QEMU sets in the contexts of a 32-bit Windows dump
	// (dump/win_dump.c, WIN_CTX32_FULL with WIN_CTX_DBG).
	ContextQEMU32 = ContextControl32 | ContextInteger32 | ContextSegments32 | ContextDebugRegisters32
)

// Has reports whether all bits of want are set.
func (f ContextFlags32) Has(want ContextFlags32) bool { return f&want == want }

// String names the parts, as in "I386|CONTROL|INTEGER", and gives bits without
// a name in hex.
func (f ContextFlags32) String() string {
	names := []string{"CONTROL", "INTEGER", "SEGMENTS", "FLOATING_POINT", "DEBUG_REGISTERS", "EXTENDED_REGISTERS"}
	var parts []string
	if f.Has(ContextI386) {
		parts = append(parts, "I386")
		f &^= ContextI386
	}
	for i, name := range names {
		if bit := ContextFlags32(1) << i; f.Has(bit) {
			parts = append(parts, name)
			f &^= bit
		}
	}
	if f != 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("0x%x", uint32(f)))
	}
	return strings.Join(parts, "|")
}
