package winhdr

// Context is a CONTEXT, the registers of a processor as Windows keeps them, of
// whatever machine: a *[Context64], a *[Context32] or that of another [Format].
type Context interface {
	// Machine is the machine's MachineImageType.
	Machine() uint32
	// IP and SP are the instruction pointer and the stack pointer, VA.
	IP() uint64
	SP() uint64
	// Mode says whose code ran.
	Mode() Mode
	// Arguments are the arguments of a call that registers pass, as far as they
	// still hold them where a function begins; nil where the stack passes all of
	// them.
	Arguments() []uint64
	// Encode returns the bytes that memory has.
	Encode() []byte

	// Plausible says whether it can be what Windows saved of a processor: nil, or
	// a Problem with the first register that speaks against it.
	Plausible() error
	// PlausibleKernel is Plausible for a processor that was in the kernel.
	PlausibleKernel() error
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

	CodeSegment() uint16
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

// Mode says whose code a processor ran.
type Mode uint8

const (
	// ModeUnknown is neither of the others, such as 32-bit code of an x64 guest.
	ModeUnknown Mode = iota
	// ModeKernel is the kernel's.
	ModeKernel
	// ModeUser is a process's.
	ModeUser
)

// String names the mode in a word.
func (m Mode) String() string {
	switch m {
	case ModeKernel:
		return "kernel"
	case ModeUser:
		return "user"
	default:
		return "unknown"
	}
}
