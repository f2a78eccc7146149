package winhdr

import (
	"fmt"
	"strings"
	"unsafe"
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
// is a *SizeError. Nothing else is judged, see Plausible.
func DecodeContext32(b []byte) (*Context32, error) {
	return decode[Context32]("32-bit context", b, ContextSize32)
}

// Encode returns the ContextSize32 bytes of c.
func (c *Context32) Encode() []byte {
	return encode(c, ContextSize32)
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

// Selectors of 32-bit Windows, the requested privilege level included (KGDT_R0_-
// CODE, KGDT_R0_DATA, KGDT_R3_CODE, KGDT_R3_DATA of the WDK's ntddk.h; the same
// in KDDEBUGGER_DATA64).
const (
	kernelCS32 uint32 = 0x08
	kernelSS32 uint32 = 0x10
	userCS32   uint32 = 0x1b
	userSS32   uint32 = 0x23
)

// kernelStart32 is the lowest kernel address of 32-bit Windows. With the boot
// option increaseuserva, once /3GB, the kernel has less than that.
const kernelStart32 uint32 = 0x8000_0000

// Plausible says whether c can be what Windows saved of a processor in protected
// mode, kernel or user: nil, or a Problem with the first field that speaks
// against it. The order is that of ContextFlags, SegCs, SegSs, EFlags. Virtual-8086
// mode is refused.
func (c *Context32) Plausible() error {
	want := ContextControl32 | ContextInteger32
	if !c.ContextFlags.Has(want) || uint32(c.ContextFlags)&uint32(architectureBits) != uint32(ContextI386) {
		return contextProblem("ContextFlags", unsafe.Offsetof(c.ContextFlags), hex(c.ContextFlags),
			fmt.Sprintf("at least %v, and no other architecture", want))
	}
	ss := kernelSS32
	switch c.SegCs {
	case kernelCS32:
	case userCS32:
		ss = userSS32
	default:
		return contextProblem("SegCs", unsafe.Offsetof(c.SegCs), hex(c.SegCs), "0x8 or 0x1b")
	}
	if c.SegSs != ss {
		return contextProblem("SegSs", unsafe.Offsetof(c.SegSs), hex(c.SegSs),
			fmt.Sprintf("0x%x, as SegCs is 0x%x", ss, c.SegCs))
	}
	if c.EFlags&eflagsSet == 0 || c.EFlags&eflagsClear != 0 {
		return contextProblem("EFlags", unsafe.Offsetof(c.EFlags), hex(c.EFlags),
			fmt.Sprintf("0x%x set and 0x%x clear", eflagsSet, eflagsClear))
	}
	return nil
}

// PlausibleKernel is Plausible for a processor that was in the kernel: SegCs,
// Eip and Esp must be the kernel's as well.
func (c *Context32) PlausibleKernel() error {
	if err := c.Plausible(); err != nil {
		return err
	}
	if c.SegCs != kernelCS32 {
		return contextProblem("SegCs", unsafe.Offsetof(c.SegCs), hex(c.SegCs), hex(kernelCS32))
	}
	if c.Eip < kernelStart32 {
		return contextProblem("Eip", unsafe.Offsetof(c.Eip), hex(c.Eip), "a kernel address")
	}
	if c.Esp < kernelStart32 {
		return contextProblem("Esp", unsafe.Offsetof(c.Esp), hex(c.Esp), "a kernel address")
	}
	return nil
}
