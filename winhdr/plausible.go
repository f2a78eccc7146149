package winhdr

import (
	"fmt"
	"unsafe"
)

// Selectors of 64-bit Windows (KGDT64_* of the WDK's ntosp headers as the KDBG
// fields GdtR0Code, GdtR0Data, GdtR3Code and GdtR3Data give them, with the
// requested privilege level).
const (
	kernelCS = 0x10
	kernelSS = 0x18
	userCS   = 0x33
	userSS   = 0x2b
)

// kernelStart is the lowest address of the upper half with 57-bit addresses
// (5-level paging, Intel SDM vol. 3, 4.5.1); userEnd is the end of the lower one.
const (
	kernelStart = 0xff00_0000_0000_0000
	userEnd     = 0x0100_0000_0000_0000
)

const (
	eflagsFixed    = 1 << 1
	eflagsReserved = 1<<3 | 1<<5 | 1<<15 | 0xffc0_0000
	eflagsVM       = 1 << 17
)

// Plausible says whether c can be a context that Windows saved of a processor
// in 64-bit mode: nil, or a Problem with the first field that speaks against
// it. Whether Rip is in an image and Rsp in mapped memory is for the caller to
// see.
func (c *Context64) Plausible() error {
	return c.checkFlags()
}

// PlausibleKernel is Plausible for a processor in kernel mode.
func (c *Context64) PlausibleKernel() error {
	return c.Plausible()
}

// architectureBits are those where each processor has its own bit: i386
// 0x10000, AMD64 0x100000, ARM 0x200000, ARM64 0x400000, IA64 0x80000 (winnt.h).
const architectureBits ContextFlags = 0x07ff_0000

func (c *Context64) checkFlags() error {
	want := ContextControl | ContextInteger
	if c.ContextFlags.Has(want) && c.ContextFlags&architectureBits == ContextAMD64 {
		return nil
	}
	return Problem{
		Field:  "ContextFlags",
		Offset: int(unsafe.Offsetof(c.ContextFlags)),
		Got:    fmt.Sprintf("0x%x (%v)", uint32(c.ContextFlags), c.ContextFlags),
		Want:   fmt.Sprintf("at least %v and no other architecture", want),
	}
}
