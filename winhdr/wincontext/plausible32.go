package wincontext

import (
	"fmt"
	"unsafe"

	"windmp/winhdr/problem"
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

// ring3 is the requested privilege level of user mode in a selector, eflagsVirtual is VM
// of EFlags (Intel SDM vol. 1, 3.4.2 and 3.4.3).
const (
	ring3         uint32 = 3
	eflagsVirtual uint32 = 1 << 17
)

// KernelStart32 is the lowest kernel address of 32-bit Windows. With the boot
// option increaseuserva, once /3GB, the kernel has less than that.
const KernelStart32 uint32 = 0x8000_0000

// Plausible says whether c can be what Windows saved of a processor in protected
// mode, kernel or user: nil, or a Problem with the first field that speaks
// against it. The order is that of ContextFlags, SegCs, SegSs, EFlags. Virtual-8086
// mode is refused.
func (c *Context32) Plausible() error {
	want := ContextControl32 | ContextInteger32
	if !c.ContextFlags.Has(want) || uint32(c.ContextFlags)&uint32(architectureBits) != uint32(ContextI386) {
		return contextProblem("ContextFlags", unsafe.Offsetof(c.ContextFlags), problem.Hex(c.ContextFlags),
			fmt.Sprintf("at least %v, and no other architecture", want)).Saying(faultContext)
	}
	ss := kernelSS32
	switch c.SegCs {
	case kernelCS32:
	case userCS32:
		ss = userSS32
	default:
		return contextProblem("SegCs", unsafe.Offsetof(c.SegCs), problem.Hex(c.SegCs), "0x8 or 0x1b").Saying(faultCode)
	}
	if c.SegSs != ss {
		return contextProblem("SegSs", unsafe.Offsetof(c.SegSs), problem.Hex(c.SegSs),
			fmt.Sprintf("0x%x, as SegCs is 0x%x", ss, c.SegCs)).Saying(faultStack)
	}
	if c.EFlags&eflagsSet == 0 || c.EFlags&eflagsClear != 0 {
		return contextProblem("EFlags", unsafe.Offsetof(c.EFlags), problem.Hex(c.EFlags),
			fmt.Sprintf("0x%x set and 0x%x clear", eflagsSet, eflagsClear)).Saying(faultFlags)
	}
	return nil
}

// PlausibleSaved is Plausible for what Windows saves at a crash of a processor that was
// in the kernel, in a process, or in 16-bit code of a process: virtual-8086 mode, or a
// segment of the process' own. Of one in the kernel Eip and Esp must be the kernel's.
func (c *Context32) PlausibleSaved() error {
	own := *c
	if c.EFlags&eflagsVirtual != 0 || c.SegCs&ring3 == ring3 && c.SegSs&ring3 == ring3 {
		own.EFlags &^= eflagsVirtual
		own.SegCs, own.SegSs = userCS32, userSS32
	}
	if err := own.Plausible(); err != nil {
		return err
	}
	if own.SegCs == kernelCS32 && c.Eip < KernelStart32 {
		return contextProblem("Eip", unsafe.Offsetof(c.Eip), problem.Hex(c.Eip), "a kernel address")
	}
	if own.SegCs == kernelCS32 && c.Esp < KernelStart32 {
		return contextProblem("Esp", unsafe.Offsetof(c.Esp), problem.Hex(c.Esp), "a kernel address")
	}
	return nil
}
