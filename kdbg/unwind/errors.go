package unwind

import (
	"errors"
	"fmt"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// Reason is why a walk stops.
type Reason string

// The reasons.
const (
	// AtEnd: the frame's return address is 0, as that of a thread's first function is.
	AtEnd Reason = "end of the stack"
	// NoModule: the address is in no image.
	NoModule Reason = "in no module"
	// NoUnwindData: headers, exception directory or unwind data are not in memory.
	NoUnwindData Reason = "unwind data not in memory"
	// BadUnwindData: what is there can't be unwind data.
	BadUnwindData Reason = "malformed unwind data"
	// NoStack: the stack is not in memory, or left its limits.
	NoStack Reason = "stack not in memory"
	// UserMode: the frame is one of user mode.
	UserMode Reason = "user mode"
	// NotRising: the stack pointer would not rise.
	NotRising Reason = "stack pointer does not rise"
	// UnknownRegister: the caller depends on a register whose value nothing saved.
	UnknownRegister Reason = "register not known"
	// NoFrame: there is no frame pointer and no return address behind a call.
	NoFrame Reason = "no frame"
	// TooMany: there are more frames than a stack can sensibly have.
	TooMany Reason = "too many frames"
)

// StopError says why there is no caller of a frame.
type StopError struct {
	Reason Reason
	// PC is the frame's, At the address that the reason is about, which may be PC.
	PC, At vtop.VA
	// Detail is more about it for people, may be empty.
	Detail string
	// Err is the cause, may be nil: a *vtop.FaultError where memory could not be read.
	Err error
}

// Error gives the reason, where, and the cause.
func (e *StopError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Reason, e.At)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *StopError) Unwrap() error { return e.Err }

// isFault reports whether memory could not be read.
func isFault(err error) bool {
	var fault *vtop.FaultError
	return errors.As(err, &fault)
}

// isNone reports whether an image has no such part.
func isNone(err error) bool { return errors.Is(err, peimage.ErrNoSuchPart) }
