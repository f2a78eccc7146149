package unwind

import (
	"errors"
	"slices"

	"windmp/physmem"
	"windmp/vtop"
)

const (
	// MaxFrames bounds a walk.
	MaxFrames = 64
	// maxSwitches bounds how often it goes to another stack.
	maxSwitches = 2
	// maxScan bounds a scan, bytes: the largest stack of Windows' kernel (72 KiB, when a
	// thread has expanded it).
	maxScan = 72 << 10
)

// Trace is a walk of a stack.
type Trace struct {
	// Steps lead from the first frame to the last one. What comes behind a scan is as
	// good as the scan.
	Steps []Step
	// Read is what was used of images at the last frame, see Step.Read.
	Read []Span
	// Stop says why it ended; never nil.
	Stop *StopError
}

// Complete reports whether the walk went to the end: of the stack, or of the kernel's
// part.
func (t *Trace) Complete() bool { return t.Stop.Reason == AtEnd || t.Stop.Reason == UserMode }

// guess are the reasons after which a scan may find more.
var guess = []Reason{NoModule, NoUnwindData, BadUnwindData, NotRising, UnknownRegister, NoFrame}

// Walk steps from a frame to the end of its stack. Where a step can't be made and a scan
// finds a frame, that is taken. Limits in which f is not are not believed.
func (m *Method) Walk(s *vtop.Space, im Images, f Frame, stack Limits) Trace {
	var t Trace
	if !stack.Holds(f.SP) {
		stack = Limits{}
	}
	for switches := 0; ; {
		step, err := m.Step(s, im, f, stack)
		if err == nil && step.Switched {
			stack = Limits{}
			switches++
		}
		if stop := stopOf(err); stop != nil {
			t.Stop, t.Read = stop, step.Read
			if !slices.Contains(guess, stop.Reason) {
				return t
			}
			if step, err = m.Scan(s, im, f, stack); err != nil {
				return t
			}
			step.Read, t.Read = t.Read, nil
		}
		if switches > maxSwitches || len(t.Steps) == MaxFrames {
			t.Stop = &StopError{Reason: TooMany, PC: f.PC, At: f.SP}
			return t
		}
		t.Steps = append(t.Steps, step)
		f = step.Caller
	}
}

// stopOf is the StopError that a step's error is; nil for none.
func stopOf(err error) *StopError {
	var stop *StopError
	errors.As(err, &stop)
	return stop
}

// Scan finds the next word on the stack, from a frame's stack pointer on, that may be a
// return address: in an executable section of an image, right behind a call. Of the
// caller only PC and SP are known, and a frame pointer that has not been passed.
// The error is a [StopError].
func (m *Method) Scan(s *vtop.Space, im Images, f Frame, stack Limits) (Step, error) {
	w := &walk{m: m, space: s, images: im, stack: stack, pc: f.PC}
	if stack.High == 0 && !s.Mode.IsKernel(f.SP) {
		return Step{}, w.stop(NoStack, f.SP, "outside of its limits", nil)
	}
	last := f.SP + min(maxScan, m.highest()-f.SP)
	if stack.High != 0 {
		last = min(last, stack.High)
	}
	size := vtop.VA(m.pointer) //nolint:gosec // 4 or 8
	page := make([]byte, physmem.PageSize)
	for at := (f.SP + size - 1) &^ (size - 1); at < last && stack.Holds(at); {
		b := page[:min(last-at, physmem.PageSize-at&(physmem.PageSize-1))]
		if _, err := s.ReadVirtual(b, at); err != nil {
			return Step{}, w.stop(NoStack, at, "", err)
		}
		for off := 0; off+m.pointer <= len(b); off += m.pointer {
			if pc := vtop.VA(m.word(b, off)); w.likely(pc) {
				return m.scanned(f, pc, at+vtop.VA(off)+size), nil
			}
		}
		at += vtop.VA(len(b))
	}
	return Step{}, w.stop(NoFrame, f.SP, "no return address on the stack", nil)
}

// likely reports whether a word of the stack is taken for a return address. Addresses
// of pages are seldom ones, and often something else.
func (w *walk) likely(pc vtop.VA) bool {
	return pc&(physmem.PageSize-1) != 0 && w.checkReturn(pc) == behindOne
}

// scanned is the step to a return address whose word ends at sp.
func (m *Method) scanned(f Frame, pc, sp vtop.VA) Step {
	c := Frame{PC: pc}
	m.setSP(&c, sp)
	if fp := m.framePointer; fp != 0 && f.Has(fp) && f.Registers[fp] >= uint64(sp) {
		c.set(fp, f.Registers[fp])
	}
	return Step{Caller: c, How: Scan}
}
