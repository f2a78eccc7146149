package wincontext

import (
	"fmt"
	"unsafe"

	"windmp/winhdr/problem"
)

// Selectors of 64-bit Windows, the requested privilege level included. The
// descriptor numbers are those of KDDEBUGGER_DATA64 (wdbgexts.h: GdtR0Code,
// GdtR0Data, GdtR3Code, GdtR3Data) in builds 9600 to 26100.
const (
	kernelCS uint16 = 0x10
	kernelSS uint16 = 0x18
	userCS   uint16 = 0x33
	wowCS    uint16 = 0x23 // GdtR3CmCode
	userSS   uint16 = 0x2b
)

// The halves of the widest address space, that of 5-level paging with its
// 57-bit addresses (Intel SDM vol. 3, 4.5.1). A header or a context does not
// say whether there are 4 levels.
const (
	userEnd       uint64 = 1 << 56
	KernelStart64        = ^(userEnd - 1)
)

// Bits of EFlags (Intel SDM vol. 1, 3.4.3): bit 1 is always set, 3, 5, 15 and
// 22-31 never, and bit 17 (VM) not in 64-bit mode.
const (
	eflagsSet   uint32 = 1 << 1
	eflagsClear uint32 = 1<<3 | 1<<5 | 1<<15 | 1<<17 | 0xffc0_0000
)

// architectureBits of ContextFlags are those where each processor has its own:
// i386 0x10000, IA64 0x80000, AMD64 0x100000, ARM 0x200000, ARM64 0x400000
// (winnt.h). The bits above them say how the context came to be, such as
// CONTEXT_EXCEPTION_ACTIVE.
const architectureBits ContextFlags = 0x07ff_0000

// Plausible says whether c can be what Windows saved of a processor in 64-bit
// mode, kernel or user: nil, or a Problem with the first field that speaks
// against it. The order is that of ContextFlags, SegCs, SegSs, EFlags, Rip, Rsp.
// A context that was never written, zero or garbage, fails on the first ones.
//
// Whether Rip is in an image and Rsp in mapped memory is for the caller to see.
func (c *Context64) Plausible() error {
	if err := c.checkFlags(); err != nil {
		return err
	}
	if err := c.checkSelectors(); err != nil {
		return err
	}
	if c.EFlags&eflagsSet == 0 || c.EFlags&eflagsClear != 0 {
		return contextProblem("EFlags", unsafe.Offsetof(c.EFlags), problem.Hex(c.EFlags),
			fmt.Sprintf("0x%x set and 0x%x clear", eflagsSet, eflagsClear)).Saying(faultFlags)
	}
	if !canonical(c.Rip) {
		return contextProblem("Rip", unsafe.Offsetof(c.Rip), problem.Hex(c.Rip), "a canonical address")
	}
	if !canonical(c.Rsp) {
		return contextProblem("Rsp", unsafe.Offsetof(c.Rsp), problem.Hex(c.Rsp), "a canonical address")
	}
	return nil
}

// PlausibleSaved is Plausible for what Windows saves at a crash of a processor that was
// in the kernel, in a process, or in 32-bit code of a process (WOW64). Of one in the
// kernel Rip must be the kernel's; Rsp need not be, as a system call begins on the
// stack of the process.
func (c *Context64) PlausibleSaved() error {
	own := *c
	if c.SegCs == wowCS {
		own.SegCs = userCS
	}
	if err := own.Plausible(); err != nil {
		return err
	}
	if c.SegCs == kernelCS && c.Rip < KernelStart64 {
		return contextProblem("Rip", unsafe.Offsetof(c.Rip), problem.Hex(c.Rip), "a kernel address")
	}
	return nil
}

func (c *Context64) checkFlags() error {
	want := ContextControl | ContextInteger
	if c.ContextFlags.Has(want) && c.ContextFlags&architectureBits == ContextAMD64 {
		return nil
	}
	got := problem.Hex(c.ContextFlags)
	if !problem.IsFill(c.ContextFlags) {
		got += fmt.Sprintf(" (%v)", c.ContextFlags)
	}
	return contextProblem("ContextFlags", unsafe.Offsetof(c.ContextFlags), got,
		fmt.Sprintf("at least %v, and no other architecture", want)).Saying(faultContext)
}

// checkSelectors: in the kernel SegSs is either its data selector or 0. On an
// interrupt from user mode the processor itself loads 0 (Intel SDM vol. 3,
// 6.14.4), and public debugger logs show both beside cs=0010.
func (c *Context64) checkSelectors() error {
	want := ""
	switch c.SegCs {
	case kernelCS:
		if c.SegSs != 0 && c.SegSs != kernelSS {
			want = "0x0 or 0x18, as SegCs is 0x10"
		}
	case userCS:
		if c.SegSs != userSS {
			want = "0x2b, as SegCs is of user mode"
		}
	default:
		return contextProblem("SegCs", unsafe.Offsetof(c.SegCs), problem.Hex(c.SegCs), "0x10 or 0x33").Saying(faultCode)
	}
	if want != "" {
		return contextProblem("SegSs", unsafe.Offsetof(c.SegSs), problem.Hex(c.SegSs), want).Saying(faultStack)
	}
	return nil
}

func canonical(va uint64) bool { return va < userEnd || va >= KernelStart64 }

// What is wrong with a register of a CONTEXT, as [problem.Problem.Fault].
const (
	faultContext = "is not that of a saved processor of this machine"
	faultCode    = "is not a code segment of Windows' own"
	faultStack   = "does not go with SegCs"
	faultFlags   = "has bits that no processor sets"
	faultMode    = "is not of 64-bit code"
)

func contextProblem(field string, offset uintptr, got, want string) problem.Problem {
	return problem.Problem{Field: field, Offset: int(offset), Got: got, Want: want}
}
