package stack

import (
	"windmp/convert/guest"
	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// Source says where the state is from with which the frames of a stack begin.
type Source string

// The sources.
const (
	// FromContext is a CONTEXT that a parameter of the bug check names, FromTrap a
	// KTRAP_FRAME.
	FromContext Source = "context"
	FromTrap    Source = "trap-frame"
	// FromMachineFrame is what the processor pushed at an exception, which the walk from
	// the saved CONTEXT came to; FromStack was found on the stack by the instruction
	// that a parameter names.
	FromMachineFrame Source = "machine-frame"
	FromStack        Source = "stack"
	// FromSaved is the CONTEXT that Windows saved of the processor, FromVCPU the state
	// of its vCPU.
	FromSaved Source = "saved"
	FromVCPU  Source = "vcpu"
	// FromProcessor is the CONTEXT of the processor whose KPRCB a parameter names,
	// FromThread what the thread left that one names.
	FromProcessor Source = "processor"
	FromThread    Source = "thread"
	// FromGiven is a CONTEXT or KTRAP_FRAME at an address that the user gave.
	FromGiven Source = "given"
)

// Start is where the frames of a stack begin, and why.
type Start struct {
	Source Source
	// Parameter is that of the bug check which names it, 1 to 4, 0 for none.
	Parameter int
	// VA is the address of the structure, 0 for none.
	VA vtop.VA
}

// crash is the bug check and the processor that raised it, while it is looked for
// where the crash was.
type crash struct {
	*Walker
	bc      *kdbg.BugCheck
	meaning meaning
	cpus    []CPU
	shown   *CPU
	// call are the arguments that KeBugCheckEx got, code first, as far as known.
	call []uint64
}

// parameter is the value of a parameter, false for none.
func (c *crash) parameter(n int) (vtop.VA, bool) {
	if n == 0 {
		return 0, false
	}
	va := vtop.VA(c.bc.Parameters[n-1])
	return va, va != 0
}

// instruction is that which a parameter names, else the address in the
// EXCEPTION_RECORD that one names; 0 for none. Parameter is which.
func (c *crash) instruction() (ip vtop.VA, parameter int) {
	if va, ok := c.parameter(c.meaning.instruction); ok {
		return va, c.meaning.instruction
	}
	if va, ok := c.parameter(c.meaning.record); ok && c.kernel.space.Mode.IsKernel(va) {
		// ExceptionCode and ExceptionFlags of 4 bytes each, ExceptionRecord,
		// ExceptionAddress (winnt.h).
		at := va + 8 + vtop.VA(c.kernel.space.PointerSize()) //nolint:gosec // 4 or 8
		if ip, err := c.kernel.space.Pointer(at); err == nil && ip != 0 {
			return ip, c.meaning.record
		}
	}
	return 0, 0
}

// agrees tells whether a state can be that of the crash: it is at the instruction that
// is known, or, where none is, in a module or in user mode.
func (c *crash) agrees(f unwind.Frame) bool {
	if ip, n := c.instruction(); n != 0 {
		return f.PC == ip
	}
	_, ok := c.kernel.images.At(f.PC)
	return ok || f.User
}

// named is the state that the parameters of the bug check name; false if none is
// believed.
func (c *crash) named() (state, Start, bool) {
	type candidate struct {
		source    Source
		parameter int
		va        vtop.VA
		read      func(vtop.VA) (unwind.Frame, error)
		how       How
	}
	var list []candidate
	if va, ok := c.parameter(c.meaning.context); ok {
		list = append(list, candidate{FromContext, c.meaning.context, va, c.contextAt, Context})
	}
	if va, ok := c.parameter(c.meaning.trap); ok {
		list = append(list, candidate{FromTrap, c.meaning.trap, va, c.trapAt, Trap})
	}
	if n := c.meaning.calledTrap; n != 0 && n < len(c.call) {
		list = append(list, candidate{FromTrap, n, vtop.VA(c.call[n]), c.trapAt, Trap})
	}
	for _, x := range list {
		if !c.kernel.space.Mode.IsKernel(x.va) {
			continue
		}
		if f, err := x.read(x.va); err == nil && c.agrees(f) {
			return state{Frame: f, cpu: c.shown.Index, how: x.how}, Start{Source: x.source, Parameter: x.parameter, VA: x.va}, true
		}
	}
	return state{}, Start{}, false
}

// contextAt is the state that a CONTEXT in memory holds. The error says why it is none.
func (w *Walker) contextAt(va vtop.VA) (unwind.Frame, error) {
	format := w.guest.Machine().Header
	b := make([]byte, format.Registers.Size())
	if _, err := w.kernel.space.ReadVirtual(b, va); err != nil {
		return unwind.Frame{}, err
	}
	c, err := format.DecodeContext(b)
	if err == nil {
		err = c.PlausibleSaved()
	}
	if err != nil {
		return unwind.Frame{}, err
	}
	f, ok := w.method.Frame(c)
	if !ok {
		return unwind.Frame{}, errNoFrame
	}
	return f, nil
}

// trapAt is the state that a KTRAP_FRAME in memory holds.
func (w *Walker) trapAt(va vtop.VA) (unwind.Frame, error) {
	return w.method.TrapFrame(w.kernel.space, va)
}

// other is the processor or the thread that a parameter names, whose stack it is about.
func (c *crash) other() (state, Start, bool) {
	if va, ok := c.parameter(c.meaning.processor); ok {
		for _, cpu := range c.cpus {
			if c.processors[cpu.Index].PRCB == va && cpu.Context != nil {
				f, ok := c.method.Frame(cpu.Context)
				return state{Frame: f, cpu: cpu.Index, how: Context}, Start{Source: FromProcessor, Parameter: c.meaning.processor, VA: va}, ok
			}
		}
	}
	if va, ok := c.parameter(c.meaning.thread); ok {
		return c.thread(va)
	}
	return state{}, Start{}, false
}

// thread is the state of a thread: that of the processor that runs it, else what it left
// on its stack.
func (c *crash) thread(va vtop.VA) (state, Start, bool) {
	start := Start{Source: FromThread, Parameter: c.meaning.thread, VA: va}
	k, l := c.block, c.guest.Machine().Kernel.Process.Switch
	if k == nil {
		return state{}, Start{}, false
	}
	for _, cpu := range c.cpus {
		if c.current(cpu.Index) != va || cpu.Context == nil {
			continue
		}
		if cpu.Index == c.shown.Index {
			return state{}, Start{}, false // it is the stack of the bug check itself
		}
		f, ok := c.method.Frame(cpu.Context)
		return state{Frame: f, cpu: cpu.Index, how: Context}, start, ok
	}
	if !k.IsKernel(va) || l.Size == 0 || k.Data.OffsetKThreadKernelStack == 0 {
		return state{}, Start{}, false
	}
	at, err := k.Pointer(va + vtop.VA(k.Data.OffsetKThreadKernelStack))
	if err != nil || !k.IsKernel(at) {
		return state{}, Start{}, false
	}
	pc, err := k.Pointer(at + l.Return)
	fp, other := k.Pointer(at + l.FramePointer)
	if kdbg.ModuleAt(c.modules, pc) != 0 || err != nil || other != nil {
		return state{}, Start{}, false // a thread is switched by the kernel alone
	}
	f := unwind.Frame{PC: pc, SP: at + l.Size}
	f.Registers[l.FrameRegister], f.Known = uint64(fp), 1<<l.FrameRegister
	return state{Frame: f, cpu: -1, thread: va, how: Switch}, start, true
}

// onStack looks on the stack for the machine frame of the instruction that a parameter
// names, where the walk came to none for want of unwind data. A frame of another
// instruction would not be believed: stacks hold old ones.
func (c *crash) onStack(sp vtop.VA) (state, Start, bool) {
	ip, n := c.instruction()
	if n == 0 {
		return state{}, Start{}, false
	}
	for i, word := range stackWords(c.guest, uint64(sp), stackSearched) {
		if word != uint64(ip) {
			continue
		}
		trap := sp + vtop.VA(i*c.kernel.space.PointerSize()) - vtop.VA(c.method.Trap.PC) //nolint:gosec // below stackSearched
		f, err := c.trapAt(trap)
		if err == nil && f.PC == ip && (f.User || f.SP > sp) {
			return state{Frame: f, cpu: c.shown.Index, how: Trap}, Start{Source: FromStack, Parameter: n, VA: trap}, true
		}
	}
	return state{}, Start{}, false
}

// stackSearched is how much of a stack is looked at for a machine frame, in bytes: what
// a triage dump holds of one at most.
const stackSearched = 0x4000

// arguments are those with which KeBugCheckEx was called, code first: from the
// registers, else from the stack; nil where none are found.
func arguments(g *guest.Guest, c wincontext.Context) []uint64 {
	if list := c.Arguments(); list != nil {
		return list
	}
	var best []uint64
	most, call := 0, 1+len(g.BugCheck().Parameters)
	for stack := stackWords(g, c.SP(), argumentsSearched); len(stack) >= call; stack = stack[1:] {
		if n := sharedArguments(g, stack[:call]); n > most {
			most, best = n, stack[:call]
		}
	}
	return best
}
