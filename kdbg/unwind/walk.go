package unwind

import (
	"errors"

	"windmp/vtop"
)

// MaxFrames bounds a walk; MaxSwitches how often it may go to another stack.
const (
	MaxFrames   = 64
	MaxSwitches = 2
)

// Trace is a walk of a stack.
type Trace struct {
	// Steps lead from the first frame to the last one.
	Steps []Step
	// Stop says why it ended; never nil.
	Stop *StopError
}

// Walk steps from a frame to the end of its stack. Where a step can't be made for want
// of unwind data, it scans for one frame, marks it so, and goes on.
func (m *Method) Walk(s *vtop.Space, im Images, f Frame, stack Limits) Trace {
	var t Trace
	for len(t.Steps) < MaxFrames {
		step, err := m.Step(s, im, f, stack)
		if err != nil {
			var stop *StopError
			errors.As(err, &stop)
			t.Stop = stop
			return t
		}
		t.Steps = append(t.Steps, step)
		f = step.Caller
	}
	t.Stop = &StopError{Reason: TooMany, PC: f.PC, At: f.PC}
	return t
}

// Scan finds the next word on the stack above a frame that may be a return address: in
// an executable section of an image, right behind a call. The error is a [StopError].
func (m *Method) Scan(s *vtop.Space, im Images, f Frame, stack Limits) (Step, error) {
	return Step{}, &StopError{Reason: NoFrame, PC: f.PC, At: f.SP}
}

func (w *walk) next(f Frame) (Step, error) {
	switch {
	case f.PC == 0:
		return Step{}, &StopError{Reason: AtEnd, PC: f.PC, At: f.PC}
	case f.User:
		return Step{}, &StopError{Reason: UserMode, PC: f.PC, At: f.PC}
	}
	return w.m.step(w, f)
}
