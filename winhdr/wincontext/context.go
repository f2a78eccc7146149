// Package wincontext declares the CONTEXT, in which Windows keeps the registers of a
// processor, once a machine: it decodes and encodes it, and says whether Windows can have
// saved it so. It stands in memory for each processor, and in a dump's header.
//
// The layouts are those of Microsoft's winnt.h (SDK). All values are plain data, and what
// only reads one never writes to it.
package wincontext

import "fmt"

// Context is a CONTEXT, the registers of a processor as Windows keeps them, of
// whatever machine: a *[Context64], a *[Context32], a *[ContextARM64] or that of another
// winhdr.Format.
type Context interface {
	// Machine is the machine's MachineImageType.
	Machine() uint32
	// IP and SP are the instruction pointer and the stack pointer, VA.
	IP() uint64
	SP() uint64
	// Mode says for people whose code ran, such as "kernel" and "user (ring 3)";
	// empty if nothing says it.
	Mode() string
	// Arguments are the arguments of a call that registers pass, as far as they
	// still hold them where a function begins; nil where the stack passes all of
	// them.
	Arguments() []uint64
	// Encode returns the bytes that memory has.
	Encode() []byte

	// Plausible says whether it can be what Windows saved of a processor: nil, or
	// a Problem with the first register that speaks against it.
	Plausible() error
	// PlausibleSaved is Plausible for what Windows saves of the processors when it
	// crashes, wherever they were: also in other code of processes than the
	// machine's own kind. In the kernel, the instruction pointer must be the kernel's.
	PlausibleSaved() error
	// CheckMode says whether debuggers take it for code of the machine's own
	// kind: nil, or a Problem with the register by which they don't.
	CheckMode() error
	// CheckForReaders says what readers other than Microsoft's refuse in the
	// CONTEXT of a header: nil, or an error that names them.
	CheckForReaders() error

	// Same tells whether it has the values of other in the general and the
	// segment registers, the flags, and those of more. Registers that no source
	// of a machine's state carries are not compared, nor is what says which are
	// valid. It is false for a CONTEXT of another machine.
	Same(other Context, more RegisterSet) bool
	// ForHeader returns it as all readers take it in a header.
	ForHeader() Context
	// Clone returns a copy: a change of one is none of the other.
	Clone() Context
}

// RegisterSet are registers that not every source of a machine's state carries.
type RegisterSet uint8

const (
	// DebugRegisters are Dr0 to Dr7.
	DebugRegisters RegisterSet = 1 << iota
	// FloatRegisters are the state of x87 and SSE, with MXCSR.
	FloatRegisters
)

// Has reports whether all of want are in the set.
func (s RegisterSet) Has(want RegisterSet) bool { return s&want == want }

// modeOf is the mode by a code segment's requested privilege level.
func modeOf(cs uint16) string {
	switch level := cs & 3; {
	case cs == 0:
		return ""
	case level == 0:
		return "kernel"
	default:
		return fmt.Sprintf("user (ring %d)", level)
	}
}
