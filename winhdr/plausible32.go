package winhdr

import (
	"fmt"
	"unsafe"
)

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
