package unwind

import (
	"bytes"
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// X86 walks the stacks of 32-bit x86 by frame pointers; each return address must be
// right behind a call. Functions that keep no frame pointer are passed over, or found by
// a scan.
var X86 = &Method{
	Format: peimage.X86, Trap: trap32,
	pointer: 4, stackPointer: esp, framePointer: ebp, saved: 1<<ebx | 1<<esp | 1<<ebp | 1<<esi | 1<<edi,
	fromContext: frame32, step: (*walk).step32,
	longestCall: longestCallX86, isCall: (*walk).isCallX86, userTrap: (*Method).userTrapX86,
}

// Registers of x86 that are named here.
const (
	ebx, esp, ebp, esi, edi = 3, 4, 5, 6, 7
)

// trap32 is KTRAP_FRAME of x86, as public symbols of all builds have it. The processor
// pushes esp and ss only when it comes from user mode.
var trap32 = TrapLayout{
	Size: 0x7c, PC: 0x68, Code: 0x6c, Flags: 0x70, SP: 0x74, SPBehind: true,
	Registers: []TrapRegister{
		{0, 0x44}, {1, 0x40}, {2, 0x3c}, {ebx, 0x5c}, {ebp, 0x60}, {esi, 0x58}, {edi, 0x54},
	},
	KernelCode: 0x08, UserCode: []uint16{0x1b},
}

// frame32 takes all registers of a CONTEXT.
func frame32(c wincontext.Context) (Frame, bool) {
	x, ok := c.(*wincontext.Context32)
	if !ok {
		return Frame{}, false
	}
	wide := func(v uint32) uint64 { return uint64(v) }
	return frameOf(wide(x.Eip), x.SegCs&3 != 0,
		wide(x.Eax), wide(x.Ecx), wide(x.Edx), wide(x.Ebx), wide(x.Esp), wide(x.Ebp), wide(x.Esi), wide(x.Edi)), true
}

// step32 finds the caller: by the instructions at the PC where those begin or end a
// function, by the trap frame that the frame pointer leads to, or by the pair of frame
// pointer and return address there.
func (w *walk) step32(f Frame) (Step, error) {
	code, cut := w.code()
	if f.Exact {
		if step, ok := w.edge32(f, code); ok {
			return step, nil
		}
	}
	step, err := w.chain32(f)
	step.NoCode = cut && len(code) == 0
	return step, err
}

// edges32 are instructions between which and the return address there are none or one
// word of the stack: the first instructions of a function, and the last ones.
var edges32 = []struct {
	code  []byte
	back  int  // where in code the PC is
	saved bool // the caller's ebp is on the top of the stack
}{
	{[]byte{0x8b, 0xff, 0x55, 0x8b, 0xec}, 0, false}, // mov edi,edi; push ebp; mov ebp,esp
	{[]byte{0x55, 0x8b, 0xec}, 0, false},
	{[]byte{0x55, 0x89, 0xe5}, 0, false}, // the other form of that mov
	{[]byte{0x55, 0x8b, 0xec}, 1, true},
	{[]byte{0x55, 0x89, 0xe5}, 1, true},
	{[]byte{0x5d, 0xc3}, 0, true}, // pop ebp; ret
	{[]byte{0x5d, 0xc2}, 0, true},
	{[]byte{0xc3}, 0, false},
	{[]byte{0xc2}, 0, false},
}

// edge32 is for a PC where a function begins or ends; false elsewhere, and where what is
// on the stack is no return address.
func (w *walk) edge32(f Frame, code []byte) (Step, bool) {
	var before [1]byte
	_, err := w.space.ReadVirtual(before[:], f.PC-1)
	for _, e := range edges32 {
		if !bytes.HasPrefix(code, e.code[e.back:]) || e.back == 1 && (err != nil || before[0] != e.code[0]) {
			continue
		}
		c := f
		if e.saved {
			v, err := w.pop(&c)
			if err != nil {
				return Step{}, false
			}
			c.set(ebp, v)
		}
		step, err := w.give(c, Epilogue)
		if e.code[0] != 0x5d && e.code[0]&0xfe != 0xc2 {
			step.How = Leaf // nothing of the function is on the stack yet
		}
		return step, err == nil && w.checkReturn(step.Caller.PC) == behindOne
	}
	return Step{}, false
}

// chain32 follows the frame pointer.
func (w *walk) chain32(f Frame) (Step, error) {
	at := vtop.VA(f.Registers[ebp])
	if !f.Has(ebp) {
		return Step{}, w.stop(UnknownRegister, w.pc, "ebp", nil)
	}
	if at < f.SP || at%4 != 0 || !w.stack.Holds(at) {
		return Step{}, w.stop(NoFrame, at, "ebp is not on the stack", nil)
	}
	if step, ok := w.trapAt(at); ok {
		return step, nil
	}
	next, err := w.load(at)
	if err != nil {
		return Step{}, err
	}
	w.m.setSP(&f, at+4)
	step, err := w.give(f, FramePointer)
	if err != nil {
		return Step{}, err
	}
	if pc := step.Caller.PC; pc != 0 && w.checkReturn(pc) == noReturn {
		return Step{}, w.stop(NoFrame, at, "no return address at ebp", nil)
	}
	// Where they are, nobody knows who saved the other registers.
	step.Caller.Known = 1 << esp
	step.Caller.set(ebp, next)
	return step, nil
}

// dbgArgMark is KTRAP_FRAME.DbgArgMark, at 8, by which debuggers know a trap frame in
// the chain of frame pointers.
const dbgArgMark = 0xbadb0d00

// trapAt is the step over a trap frame: handlers of interrupts and exceptions point
// their frame pointer at it, and its first words repeat ebp and eip.
func (w *walk) trapAt(at vtop.VA) (Step, bool) {
	b := make([]byte, w.m.Trap.Size)
	if _, err := w.space.ReadVirtual(b, at); err != nil {
		return Step{}, false
	}
	le := binary.LittleEndian
	if le.Uint32(b[8:]) != dbgArgMark && (le.Uint32(b) != le.Uint32(b[0x60:]) || le.Uint32(b[4:]) != le.Uint32(b[0x68:])) {
		return Step{}, false
	}
	f, ok := w.m.trapFrame(b, at)
	w.moved = ok
	return Step{Caller: f, How: MachineFrame}, ok
}
