package unwind

import (
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/vtop"
)

// TrapLayout is where KTRAP_FRAME keeps the state of interrupted code.
type TrapLayout struct {
	// Size is the structure's, bytes.
	Size int
	// PC, Code (the selector), Flags and SP are where the processor pushed them.
	PC, Code, Flags, SP int
	// SPBehind is set where an interrupt in the kernel pushes no stack pointer: SP is
	// then the first word behind the structure's part in use.
	SPBehind bool
	// Registers are those that are saved in it at any interrupt.
	Registers []TrapRegister
	// KernelCode and UserCode are Windows' code selectors.
	KernelCode uint16
	UserCode   []uint16
}

// TrapRegister is where a register is saved.
type TrapRegister struct{ Number, Offset int }

// flagAlways is bit 1 of the flags, which is always set (Intel SDM vol. 1, 3.4.3).
const flagAlways = 1 << 1

// TrapFrame is the state that the KTRAP_FRAME at an address saved. Registers that it
// does not hold are not known. The error is a [StopError]: [NoStack] where it is not in
// memory, [NoFrame] where it can't be one.
func (m *Method) TrapFrame(s *vtop.Space, at vtop.VA) (Frame, error) {
	b := make([]byte, m.Trap.Size)
	if _, err := s.ReadVirtual(b, at); err != nil {
		return Frame{}, &StopError{Reason: NoStack, At: at, Detail: "trap frame", Err: err}
	}
	f, ok := m.trapFrame(b, at)
	if !ok || !s.Canonical(f.PC) || !s.Canonical(f.SP) || !f.User && !s.Mode.IsKernel(f.SP) {
		return Frame{}, &StopError{Reason: NoFrame, At: at, Detail: fmt.Sprintf("no trap frame: code selector %#x, flags %#x, instruction %#x, stack %#x",
			m.word(b, m.Trap.Code), m.word(b, m.Trap.Flags), m.word(b, m.Trap.PC), m.word(b, m.Trap.SP))}
	}
	return f, nil
}

// trapFrame decodes one that lies at an address.
func (m *Method) trapFrame(b []byte, at vtop.VA) (Frame, bool) {
	t := &m.Trap
	user, ok := m.userTrap(m, b)
	if !ok {
		return Frame{}, false
	}
	f := Frame{PC: vtop.VA(m.word(b, t.PC)), Exact: true, User: user}
	sp := m.word(b, t.SP)
	if t.SPBehind && !user {
		sp = uint64(at) + uint64(t.SP) //nolint:gosec // an offset
	}
	m.setSP(&f, vtop.VA(sp))
	for _, r := range t.Registers {
		f.set(r.Number, m.word(b, r.Offset))
	}
	return f, true
}

// userTrapX86 goes by the code selector and the flags.
func (m *Method) userTrapX86(b []byte) (user, ok bool) {
	t := &m.Trap
	cs := uint16(m.word(b, t.Code) & 0xffff)
	user = slices.Contains(t.UserCode, cs)
	return user, (user || cs == t.KernelCode) && m.word(b, t.Flags)&flagAlways != 0
}

// word is the word of the machine's size that b has at an offset.
func (m *Method) word(b []byte, off int) uint64 {
	var v [8]byte
	copy(v[:m.pointer], b[off:])
	return binary.LittleEndian.Uint64(v[:])
}

// setSP sets the stack pointer, in both places.
func (m *Method) setSP(f *Frame, sp vtop.VA) {
	f.SP = sp
	f.set(m.stackPointer, uint64(sp))
}
