package unwind

import (
	"windmp/kdbg/peimage"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// Frame is the state of a processor at an instruction.
type Frame struct {
	// PC and SP are the instruction pointer and the stack pointer.
	PC, SP vtop.VA
	// Registers are the general registers in the processor's own numbering (x64: rax
	// rcx rdx rbx rsp rbp rsi rdi r8 to r15; x86: the first eight of them; Arm64: x0 to
	// x30, then sp). That of the stack pointer is SP.
	Registers [32]uint64
	// Known has bit i set where Registers[i] is known.
	Known uint32
	// Exact is set where PC is an instruction that was about to run (a saved state, a
	// machine frame), and not a return address.
	Exact bool
	// User is set where the processor was in user mode.
	User bool
}

// frameOf is the state of a processor whose registers are all known, in their order.
func frameOf(pc uint64, user bool, registers ...uint64) Frame {
	f := Frame{PC: vtop.VA(pc), Exact: true, User: user}
	for i, v := range registers {
		f.set(i, v)
	}
	return f
}

// Has reports whether register i is known.
func (f *Frame) Has(i int) bool { return f.Known>>i&1 != 0 }

// set makes register i known.
func (f *Frame) set(i int, v uint64) {
	f.Registers[i] = v
	f.Known |= 1 << i
}

// How says by what a caller was found.
type How string

// The ways to a caller.
const (
	// Unwind is by the unwind data of the function.
	Unwind How = "unwind"
	// Leaf is for a function without unwind data: it has not moved the stack pointer.
	Leaf How = "leaf"
	// Epilogue is by carrying out the rest of the function's epilogue.
	Epilogue How = "epilogue"
	// MachineFrame is by what the processor pushed at an interrupt or exception.
	MachineFrame How = "machine-frame"
	// FramePointer is by the chain of frame pointers.
	FramePointer How = "frame-pointer"
	// Scan is no unwinding: the next word on the stack that may be a return address.
	Scan How = "scan"
)

// Span is a piece of an image.
type Span struct {
	VA   vtop.VA
	Size uint32 // bytes
	Part Part
}

// Part says what of an image a span is.
type Part string

// The parts of an image that a walk uses.
const (
	// Headers are the image's.
	Headers Part = "headers"
	// Entry is a function's entry in the exception directory.
	Entry Part = "function entry"
	// UnwindData is what a function's entry leads to.
	UnwindData Part = "unwind data"
	// Code is that from the frame's PC on.
	Code Part = "code"
)

// Limits are the lowest and, exclusively, the highest address of a stack. High is 0
// where they are not known: any mapped memory of the kernel may be the stack then.
type Limits struct{ Low, High vtop.VA }

// Holds reports whether an address may be on the stack.
func (l Limits) Holds(va vtop.VA) bool { return l.High == 0 || va >= l.Low && va < l.High }

// Step is the way from a frame to its caller.
type Step struct {
	Caller Frame
	How    How
	// Switched is set where the caller is on another stack.
	Switched bool
	// NoCode is set where the instructions at the frame's PC are not in memory. It was
	// taken to be in its function's body, and not in an epilogue.
	NoCode bool
	// Read is what was used of images, not of the stack: the headers, the entry in the
	// exception directory, unwind data, code.
	Read []Span
}

// Images tells in which image an address lies.
type Images interface {
	At(pc vtop.VA) (*Image, bool)
}

// Method is how the stacks of one machine are walked; [X64], [X86] and [ARM64] are those. It
// is not changed once in use.
type Method struct {
	// Format is that of the machine's images.
	Format peimage.Format
	// Trap is the layout of KTRAP_FRAME.
	Trap TrapLayout

	pointer      int    // the size of one, bytes
	stackPointer int    // the number of its register
	framePointer int    // the number of the register that leads the chain of frames, 0 without one
	saved        uint32 // the registers that a function gives back as they were
	link         bool   // calls leave the return address in a register, and not on the stack
	fromContext  func(wincontext.Context) (Frame, bool)
	step         func(*walk, Frame) (Step, error)
	function     func(*walk) (begin, end vtop.VA, ok bool) // of pc; may be nil

	longestCall int // bytes before a return address that are looked at for a call
	// isCall tells whether the bytes before va end in a call.
	isCall func(w *walk, b []byte, va vtop.VA) bool
	// userTrap tells of the bytes of a KTRAP_FRAME whether it is of user mode; false for
	// what is none.
	userTrap func(m *Method, b []byte) (user, ok bool)
}

// Frame is the state that a CONTEXT saved; false if that is of another machine.
func (m *Method) Frame(c wincontext.Context) (Frame, bool) {
	f, ok := m.fromContext(c)
	if ok {
		f.SP = vtop.VA(f.Registers[m.stackPointer])
	}
	return f, ok
}

// Step finds the caller of a frame. stack are the limits of the stack that f is on.
// The error is a [StopError], with which Step.Read is what was used until then. A scan is
// never among its steps: that is [Method.Scan].
func (m *Method) Step(s *vtop.Space, im Images, f Frame, stack Limits) (Step, error) {
	w := &walk{m: m, space: s, images: im, stack: stack}
	step, err := w.next(f)
	if err != nil {
		return Step{Read: w.read}, err
	}
	step.Read = w.read
	return step, nil
}

// next makes a step, and looks where it has led.
func (w *walk) next(f Frame) (Step, error) {
	if err := w.enter(f); err != nil {
		return Step{}, err
	}
	step, err := w.m.step(w, f)
	if err != nil {
		return Step{}, err
	}
	step.Switched, err = w.leave(f, step.Caller)
	return step, err
}

// Function is where the function begins and ends, exclusively, to which an address
// belongs: its main part, if it is in several. It is false where no unwind data in memory
// tells, and on machines that have none.
func (m *Method) Function(s *vtop.Space, im Images, pc vtop.VA) (begin, end vtop.VA, ok bool) {
	if m.function == nil {
		return 0, 0, false
	}
	w := &walk{m: m, space: s, images: im}
	if err := w.enter(Frame{PC: pc, Exact: true}); err != nil {
		return 0, 0, false
	}
	return m.function(w)
}
