package unwind

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// ARM64 walks the stacks of 64-bit Arm by unwind data (Microsoft, "ARM64 exception
// handling"), and where that does not lead on by frame pointers: code of Windows keeps
// the chain in x29, each link with the return address behind it (Microsoft, "Overview of
// ARM64 ABI conventions").
var ARM64 = &Method{
	Format: peimage.ARM64, Trap: trapARM64,
	pointer: 8, stackPointer: spARM64, framePointer: fpARM64, saved: nonvolatileARM64,
	link:        true,
	fromContext: frameARM64, step: (*walk).stepARM64, function: (*walk).boundsARM64,
	longestCall: instruction, isCall: (*walk).isCallARM64, userTrap: (*Method).userTrapARM64,
}

// Registers of 64-bit Arm that are named here; the stack pointer has the number behind
// the last of the others.
const (
	fpARM64, lrARM64, spARM64 = 29, 30, 31
	// instruction is the size of one, bytes.
	instruction = 4
)

// nonvolatileARM64 are the registers that a function gives back to its caller: x19 to
// x29, and sp.
const nonvolatileARM64 = 0x7ff<<19 | 1<<spARM64

// trapARM64 is ARM64_KTRAP_FRAME (dotnet/runtime,
// src/coreclr/unwinder/arm64/unwinder.cpp, which Microsoft published).
var trapARM64 = TrapLayout{
	Size: 0x150, PC: 0x148, Code: 0x90, SP: 0x98,
	Registers: []TrapRegister{
		{0, 0xa0},
		{1, 0xa8},
		{2, 0xb0},
		{3, 0xb8},
		{4, 0xc0},
		{5, 0xc8},
		{6, 0xd0},
		{7, 0xd8},
		{8, 0xe0},
		{9, 0xe8},
		{10, 0xf0},
		{11, 0xf8},
		{12, 0x100},
		{13, 0x108},
		{14, 0x110},
		{15, 0x118},
		{16, 0x120},
		{17, 0x128},
		{18, 0x130},
		{lrARM64, 0x138},
		{fpARM64, 0x140},
	},
}

// Bits of Spsr, as of Cpsr (Arm ARM, SPSR_EL1): exception level, and 32-bit code; those
// that are never set.
const (
	spsrLevel = 0xc
	spsrEL1   = 4
	spsr32    = 1 << 4
	spsrNever = 1 << 1
)

// userTrapARM64 goes by the mode in Spsr.
func (m *Method) userTrapARM64(b []byte) (user, ok bool) {
	spsr := binary.LittleEndian.Uint32(b[m.Trap.Code:])
	level := spsr & spsrLevel
	user = level == 0 && spsr&1 == 0
	return user || spsr&spsr32 != 0, spsr&spsr32 != 0 || spsr&spsrNever == 0 && (user || level == spsrEL1)
}

// frameARM64 takes all registers of a CONTEXT.
func frameARM64(c wincontext.Context) (Frame, bool) {
	x, ok := c.(*wincontext.ContextARM64)
	if !ok {
		return Frame{}, false
	}
	registers := append(append([]uint64(nil), x.X[:]...), x.Fp, x.Lr, x.Sp)
	return frameOf(x.Pc, x.Cpsr&(spsrLevel|spsr32) != spsrEL1, registers...), true
}

// stepARM64 finds the caller by unwind data, else by the frame pointer.
func (w *walk) stepARM64(f Frame) (Step, error) {
	step, err := w.unwindARM64(f)
	if err == nil {
		if _, err = w.leave(f, step.Caller); err == nil || stopOf(err).Reason == AtEnd {
			return step, nil
		}
	}
	w.moved = false
	return w.chainARM64(f)
}

// chainARM64 follows the frame pointer.
func (w *walk) chainARM64(f Frame) (Step, error) {
	at := vtop.VA(f.Registers[fpARM64])
	switch {
	case !f.Has(fpARM64):
		return Step{}, w.stop(UnknownRegister, w.pc, "x29", nil)
	case at == 0:
		return Step{}, w.stop(AtEnd, w.pc, "", nil)
	case at < f.SP || at%8 != 0 || !w.stack.Holds(at):
		return Step{}, w.stop(NoFrame, at, "x29 is not on the stack", nil)
	}
	next, err := w.load(at)
	if err != nil {
		return Step{}, err
	}
	back, err := w.load(at + 8)
	if err != nil {
		return Step{}, err
	}
	c := Frame{PC: w.withoutPAC(back)}
	if c.PC != 0 && w.checkReturn(c.PC) == noReturn {
		return Step{}, w.stop(NoFrame, at, "no return address at x29", nil)
	}
	w.m.setSP(&c, at+16)
	// Where they are, nobody knows who saved the other registers.
	c.set(fpARM64, next)
	return Step{Caller: c, How: FramePointer}, nil
}

// pacUpper is the bit of a signed address that says which half it is (Arm ARM, D8.8).
const pacUpper = 1 << 55

// withoutPAC is a return address as it was before it was signed. Pointer authentication
// uses the bits above those of a half, but for the one that says which it is.
func (w *walk) withoutPAC(va uint64) vtop.VA {
	above := ^uint64(0) << (w.space.Mode.AddressBits() - 1)
	if va&pacUpper != 0 {
		return vtop.VA(va | above)
	}
	return vtop.VA(va &^ above)
}

// isCallARM64 looks for BL, BLR, and BLRAA and its like (Arm ARM, C6.2).
func (w *walk) isCallARM64(b []byte, _ vtop.VA) bool {
	code := binary.LittleEndian.Uint32(b)
	return code&0xfc000000 == 0x94000000 || code&0xfffffc1f == 0xd63f0000 || code&0xfefff800 == 0xd63f0800
}
