package unwind

import "windmp/vtop"

// TrapLayout is where KTRAP_FRAME keeps the state of the interrupted code.
type TrapLayout struct {
	// Size is the structure's, bytes.
	Size vtop.VA
}

// TrapFrame is the state that a KTRAP_FRAME saved. Registers that it does not hold are
// not known. The error is a [StopError] where it is not in memory or can't be one.
func (m *Method) TrapFrame(s *vtop.Space, at vtop.VA) (Frame, error) {
	return Frame{}, &StopError{Reason: NoStack, At: at}
}
