package stack

import (
	"errors"
	"fmt"
	"slices"

	"windmp/convert/guest"
	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/vtop"
)

// How says by what a frame was found: what package unwind says, or one of these.
type How string

// How the first frame of a list was found, and one that no unwinding leads to.
const (
	// Context is a CONTEXT, Registers are a vCPU's, Trap a KTRAP_FRAME, Switch a
	// KSWITCH_FRAME.
	Context   How = "context"
	Registers How = "registers"
	Trap      How = "trap-frame"
	Switch    How = "switch-frame"
	// Entry is for the caller of KeBugCheckEx, whose registers were saved at its first
	// instruction: the return address is on top of the stack.
	Entry How = "entry"
)

// Frame is a function call on a stack.
type Frame struct {
	unwind.Frame
	How How
	// Read are the spans of images that were read to find the frame.
	Read []unwind.Span
}

// interrupted tells whether the frame did not call the one before it, but was interrupted.
func (f *Frame) interrupted() bool { return f.How == How(unwind.MachineFrame) }

// Stack are the frames of a processor, or of a thread.
type Stack struct {
	// Processor is the processor's index, -1 for a thread that did not run, and for a
	// state at a given address.
	Processor int
	Start     Start
	// Instruction is the address at which a parameter of the bug check says that it
	// happened, where no state of it was found; else 0.
	Instruction vtop.VA
	// Frames begin where the crash was, else where the processor stopped.
	Frames []Frame
	// Handlers are the frames between where Windows stopped the processor and where the
	// crash was, the innermost first: KeBugCheckEx and who called it. Together with
	// Frames they are what debuggers list.
	Handlers []Frame
	// Stop says why there are no more frames.
	Stop *unwind.StopError
	// Seen are addresses in modules that lie on the stack behind the last frame, where
	// neither unwind data nor code is in memory: they may be no frames.
	Seen []vtop.VA

	view *view
	// stopped is set where the first of all frames is in KeBugCheckEx or KeBugCheck.
	stopped bool
}

// Complete tells whether the walk came to the end of the stack, or to user mode.
func (s *Stack) Complete() bool {
	return s.Stop != nil && (s.Stop.Reason == unwind.AtEnd || s.Stop.Reason == unwind.UserMode)
}

// All are Handlers and Frames: the stack as debuggers list it.
func (s *Stack) All() []Frame { return append(append([]Frame(nil), s.Handlers...), s.Frames...) }

// errNoFrame says that a state is of another machine.
var errNoFrame = errors.New("registers of another machine")

// CPU is the stack of a processor, from its registers on; false for one without.
func (w *Walker) CPU(c CPU) (*Stack, bool) {
	if c.Context == nil {
		return nil, false
	}
	f, ok := w.method.Frame(c.Context)
	if !ok {
		return nil, false
	}
	start, how := Start{Source: FromSaved}, Context
	if c.Live {
		start.Source, how = FromVCPU, Registers
	}
	called := w.called(c)
	s := w.from(state{Frame: f, cpu: c.Index, how: how, called: called}, start)
	s.stopped = called || w.atEntry(s.view, f) || slices.ContainsFunc(w.points, func(at kdbg.StopPoint) bool { return at.Holds(f.PC) })
	return s, true
}

// from walks from a state on.
func (w *Walker) from(s state, start Start) *Stack {
	t := w.walk(s)
	out := &Stack{Processor: s.cpu, Start: start, Frames: t.frames, Stop: t.stop, view: t.view}
	if !out.Complete() {
		out.Seen = w.seen(t.view, t.frames[len(t.frames)-1].SP)
	}
	return out
}

// At is the stack from a CONTEXT in memory on.
func (w *Walker) At(context vtop.VA) (*Stack, error) {
	f, err := w.contextAt(context)
	if err != nil {
		return nil, fmt.Errorf("CONTEXT at %v: %w", context, err)
	}
	return w.from(state{Frame: f, cpu: -1, thread: w.threadOn(f.SP), how: Context}, Start{Source: FromGiven, VA: context}), nil
}

// AtTrap is the stack from a KTRAP_FRAME in memory on.
func (w *Walker) AtTrap(trap vtop.VA) (*Stack, error) {
	f, err := w.trapAt(trap)
	if err != nil {
		return nil, fmt.Errorf("KTRAP_FRAME at %v: %w", trap, err)
	}
	return w.from(state{Frame: f, cpu: -1, thread: w.threadOn(f.SP), how: Trap}, Start{Source: FromGiven, VA: trap}), nil
}

// Crash is the stack of what crashed: of the processor shown, an index in cpus, from
// where the crash was on; of a guest that did not crash, from its registers on. It is
// false where nothing is known of the processor.
func (w *Walker) Crash(cpus []CPU, shown int) (*Stack, bool) {
	if shown < 0 || shown >= len(cpus) {
		return nil, false
	}
	if !guest.Crashed(w.guest) {
		return w.CPU(cpus[shown])
	}
	c := &crash{Walker: w, bc: w.guest.BugCheck(), cpus: cpus, shown: &cpus[shown]}
	c.meaning = meaningOf(c.bc.Code)
	if c.shown.Context == nil {
		return nil, false
	}
	c.call = arguments(w.guest, c.shown.Context)
	return c.stack()
}

// stack finds where the crash was, and walks from there.
func (c *crash) stack() (*Stack, bool) {
	if s, start, ok := c.other(); ok {
		return c.from(s, start), true
	}
	whole, ok := c.CPU(*c.shown)
	if !ok {
		return nil, false
	}
	if s, start, ok := c.named(); ok {
		return c.split(whole, s, start), true
	}
	if i := c.machineFrame(whole.Frames); i > 0 {
		whole.Start.Source, whole.Start.Parameter = FromMachineFrame, 0
		whole.Handlers, whole.Frames = whole.Frames[:i], whole.Frames[i:]
		return whole, true
	}
	if s, start, ok := c.onStack(whole.Frames[0].SP); ok {
		return c.split(whole, s, start), true
	}
	if ip, n := c.instruction(); n != 0 && ip != whole.Frames[0].PC {
		whole.Instruction, whole.Start.Parameter = ip, n
	}
	return whole, true
}

// machineFrame is the index of the frame that the processor was in when an exception
// interrupted it; 0 for none. Where the instruction is known, it is the frame at that.
// Where it is not, the bug check must be about what was interrupted, and only the kernel
// may have run since: a driver that was there raised it itself.
func (c *crash) machineFrame(frames []Frame) int {
	ip, _ := c.instruction()
	if ip == 0 && !c.meaning.interrupted {
		return 0
	}
	for i := range frames {
		f := &frames[i]
		switch {
		case i > 0 && f.interrupted() && !f.User && (ip == 0 || f.PC == ip):
			return i
		case ip == 0 && c.rankAt(f.PC) != core:
			return 0
		}
	}
	return 0
}

// split is the stack from a state on. Where the walk of the whole stack came to it, its
// frames are taken: they know more registers than a trap frame holds. What of the
// whole lies below on the stack are the handlers.
func (c *crash) split(whole *Stack, s state, start Start) *Stack {
	for i := range whole.Frames {
		if f := &whole.Frames[i]; f.PC == s.PC && f.SP == s.SP {
			whole.Start, whole.Handlers, whole.Frames = start, whole.Frames[:i], whole.Frames[i:]
			return whole
		}
	}
	out := c.from(s, start)
	for i := range whole.Frames {
		if whole.Frames[i].SP >= s.SP {
			break
		}
		out.Handlers = append(out.Handlers, whole.Frames[i])
	}
	return out
}

// called tells whether a processor stopped where it called KeBugCheckEx or KeBugCheck: it
// is in the kernel, and the first argument is still the code.
func (w *Walker) called(c CPU) bool {
	bc, args := w.guest.BugCheck(), c.Context.Arguments()
	if bc == nil || bc.Code == 0 || len(args) == 0 || c.Live {
		return false
	}
	return calledCode(uint32(args[0]&0xffffffff)) == calledCode(bc.Code) && kdbg.ModuleAt(w.modules, vtop.VA(c.Context.IP())) == 0
}

// Scanned tells whether frames were found by a scan, which may be none.
func (s *Stack) Scanned() bool {
	return slices.ContainsFunc(s.All(), func(f Frame) bool { return f.How == How(unwind.Scan) })
}
