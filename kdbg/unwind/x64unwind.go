package unwind

import (
	"encoding/binary"
	"fmt"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// maxChain bounds how many entries belong to one function, as Windows does.
const maxChain = 32

// Flags and operations of UNWIND_INFO (Microsoft, "x64 exception handling"; version 2 is
// not documented there, see dotnet/runtime, src/coreclr/inc/win64unwind.h).
const (
	flagChained = 4

	pushNonvolatile = 0
	allocLarge      = 1
	allocSmall      = 2
	setFrame        = 3
	saveNonvolatile = 4
	saveFar         = 5
	epilogueCode    = 6 // of version 2
	pushMachine     = 10
)

// slots is how many slots an operation takes, by version; those of an allocation depend
// on its info. 6 and 7 of version 1 saved halves of XMM registers.
var slots = [3][11]int{
	1: {1, 2, 1, 1, 2, 3, 2, 3, 2, 3, 1},
	2: {1, 2, 1, 1, 2, 3, 1, 2, 2, 3, 1},
}

// unwindInfo is UNWIND_INFO.
type unwindInfo struct {
	function peimage.Function
	chained  peimage.Function // with flagChained
	flags    byte
	version  int
	prologue uint32 // bytes
	// register is the number of the frame register, 0 for none, offset what it was set
	// above the stack pointer, bytes.
	register int
	offset   uint64
	codes    []unwindCode
}

// unwindCode is an operation of a prologue.
type unwindCode struct {
	at       uint32 // the offset behind the instruction in the prologue
	op, info int
	operand  uint64 // scaled
}

// unwinder64 is one step on x64.
type unwinder64 struct {
	*walk
	table peimage.Functions
}

func (w *walk) step64(f Frame) (Step, error) {
	u := &unwinder64{walk: w}
	if err := u.findTable(); err != nil {
		return Step{}, err
	}
	fn, at, err := u.table.Find(w.space, w.rva)
	if err != nil {
		return Step{}, u.bad(err)
	}
	if at == 0 {
		return u.leaf(f)
	}
	u.use(Entry, at, peimage.FunctionSize)
	if fn, err = u.direct(fn); err != nil {
		return Step{}, err
	}
	info, err := u.info(fn)
	if err != nil {
		return Step{}, err
	}
	code, cut := w.code()
	step, done, err := u.epilogue(f, info, code, cut)
	if done || err != nil {
		return step, err
	}
	noCode := step.NoCode
	step, err = u.undo(f, info)
	step.NoCode = noCode
	return step, err
}

// function64 is where the main part of the function of the PC lies.
func (w *walk) function64() (begin, end vtop.VA, ok bool) {
	u := &unwinder64{walk: w}
	if u.findTable() != nil {
		return 0, 0, false
	}
	fn, at, err := u.table.Find(w.space, w.rva)
	if err != nil || at == 0 {
		return 0, 0, false
	}
	fn, err = u.primary(fn)
	return u.table.Base + vtop.VA(fn.Begin), u.table.Base + vtop.VA(fn.End), err == nil
}

// findTable takes the exception directory of the headers, or of the loader where they
// are not in memory.
func (u *unwinder64) findTable() error {
	h, err := u.headers()
	if err != nil {
		at, im := u.image.Functions, u.image
		if !im.Holds(at.VA) || at.Size < peimage.FunctionSize || uint64(at.Size) > uint64(im.Size)-uint64(at.VA-im.Base) {
			return u.bad(err)
		}
		u.table = peimage.Functions{Base: im.Base, Size: im.Size, At: at.VA, Length: at.Size}
		return nil
	}
	u.use(Headers, h.Base, int(h.Length))
	if u.table, err = h.FunctionTable(); err != nil {
		return u.bad(err)
	}
	return nil
}

// bad is the end of the walk for an error of reading unwind data.
func (u *unwinder64) bad(err error) error {
	if isFault(err) || isNone(err) {
		return u.stop(NoUnwindData, u.pc, "", err)
	}
	return u.stop(BadUnwindData, u.pc, "", err)
}

// malformed is the end of the walk at unwind data that can't be right.
func (u *unwinder64) malformed(rva uint32, format string, args ...any) error {
	return u.stop(BadUnwindData, u.table.Base+vtop.VA(rva), fmt.Sprintf(format, args...), nil)
}

// leaf is for a function without unwind data: it has not moved the stack pointer, so
// that the word on the top is behind a call, or the end of the stack. Code that keeps to
// no convention has no unwind data either.
func (u *unwinder64) leaf(f Frame) (Step, error) {
	step, err := u.give(f, Leaf)
	if err != nil || step.Caller.PC == 0 || u.checkReturn(step.Caller.PC) != noReturn {
		return step, err
	}
	return Step{}, u.stop(NoUnwindData, u.pc, "no entry in the exception directory, and no return address on the top of the stack", nil)
}

// direct follows an entry that refers to another one.
func (u *unwinder64) direct(fn peimage.Function) (peimage.Function, error) {
	for range maxChain {
		if fn.Unwind&1 == 0 {
			return fn, nil
		}
		rva := fn.Unwind &^ 1
		var err error
		if fn, err = u.table.ReadFunction(u.space, rva); err != nil {
			return fn, u.bad(err)
		}
		u.use(Entry, u.table.Base+vtop.VA(rva), peimage.FunctionSize)
	}
	return fn, u.malformed(fn.Begin, "more than %d entries refer to one another", maxChain)
}

// info reads the unwind data of a function.
func (u *unwinder64) info(fn peimage.Function) (*unwindInfo, error) {
	b, err := u.bytes(fn.Unwind, 4)
	if err != nil {
		return nil, err
	}
	i := &unwindInfo{
		function: fn, version: int(b[0] & 7), flags: b[0] >> 3,
		prologue: uint32(b[1]), register: int(b[3] & 15), offset: uint64(b[3]>>4) * 16,
	}
	if i.version != 1 && i.version != 2 {
		return nil, u.malformed(fn.Unwind, "version %d", i.version)
	}
	n := 2 * uint32(b[2])
	size := 4 + n
	chained := (size + 3) &^ 3
	if i.flags&flagChained != 0 {
		size = chained + peimage.FunctionSize
	}
	if b, err = u.bytes(fn.Unwind, size); err != nil {
		return nil, err
	}
	u.use(UnwindData, u.table.Base+vtop.VA(fn.Unwind), int(size))
	if i.flags&flagChained != 0 {
		i.chained = peimage.DecodeFunction(b[chained:])
	}
	return i, u.decode(i, b[4:4+n])
}

// bytes reads from the image.
func (u *unwinder64) bytes(rva, n uint32) ([]byte, error) {
	if rva > u.table.Size || n > u.table.Size-rva {
		return nil, u.malformed(rva, "not in the image")
	}
	b := make([]byte, n)
	if _, err := u.space.ReadVirtual(b, u.table.Base+vtop.VA(rva)); err != nil {
		return nil, u.stop(NoUnwindData, u.table.Base+vtop.VA(rva), "", err)
	}
	return b, nil
}

// decode decodes the operations.
func (u *unwinder64) decode(i *unwindInfo, b []byte) error {
	le := binary.LittleEndian
	for len(b) > 0 {
		c := unwindCode{at: uint32(b[0]), op: int(b[1] & 15), info: int(b[1] >> 4)}
		if c.op > pushMachine {
			return u.malformed(i.function.Unwind, "operation %d", c.op)
		}
		n := slots[i.version][c.op]
		if c.op == allocLarge && c.info != 0 {
			n++
		}
		if 2*n > len(b) {
			return u.malformed(i.function.Unwind, "operation %d is cut", c.op)
		}
		switch n {
		case 2:
			c.operand = 8 * uint64(le.Uint16(b[2:])) // but for XMM registers, which nobody asks for
		case 3:
			c.operand = uint64(le.Uint32(b[2:]))
		}
		i.codes = append(i.codes, c)
		b = b[2*n:]
	}
	return nil
}

// undo carries out the operations of the prologue backwards, those of the entries that
// the function is chained to as well.
func (u *unwinder64) undo(f Frame, first *unwindInfo) (Step, error) {
	base, known := u.frameBase(f, first)
	for info, links := first, 0; ; links++ {
		offset := u.rva - info.function.Begin // wraps for code that lies elsewhere: all is undone
		for _, c := range info.codes {
			if c.at > offset {
				continue
			}
			if c.op == pushMachine {
				return u.machineFrame(f, c.info == 1)
			}
			if err := u.undoOne(&f, info, c, base, known); err != nil {
				return Step{}, err
			}
		}
		if info.flags&flagChained == 0 {
			return u.give(f, Unwind)
		}
		if links == maxChain {
			return Step{}, u.malformed(info.function.Unwind, "more than %d chained entries", maxChain)
		}
		next, err := u.parent(info)
		if err != nil {
			return Step{}, err
		}
		info = next
	}
}

// parent is the unwind data that an entry is chained to.
func (u *unwinder64) parent(i *unwindInfo) (*unwindInfo, error) {
	fn := i.chained
	if fn.Begin >= fn.End || fn.End > u.table.Size || fn.Unwind >= u.table.Size {
		return nil, u.malformed(i.function.Unwind, "chained to no function")
	}
	fn, err := u.direct(fn)
	if err != nil {
		return nil, err
	}
	return u.info(fn)
}

// frameBase is what saved registers are found by: the frame register less its offset
// once it has been set, else the stack pointer. That of the first entry holds for those
// that it is chained to as well. It is false where the register is not known.
func (u *unwinder64) frameBase(f Frame, i *unwindInfo) (uint64, bool) {
	offset := u.rva - i.function.Begin
	set := i.register != 0 && (offset >= i.prologue || i.flags&flagChained != 0)
	if i.register != 0 && !set {
		for _, c := range i.codes {
			set = set || c.op == setFrame && offset >= c.at
		}
	}
	if !set {
		return uint64(f.SP), true
	}
	return f.Registers[i.register] - i.offset, f.Has(i.register)
}

// undoOne undoes one operation.
func (u *unwinder64) undoOne(f *Frame, i *unwindInfo, c unwindCode, base uint64, known bool) error {
	switch c.op {
	case pushNonvolatile:
		return u.restore(f, c.info)
	case allocLarge:
		return u.drop(f, c.operand)
	case allocSmall:
		return u.drop(f, uint64(c.info)*8+8) //nolint:gosec // 0..15
	case setFrame:
		if !f.Has(i.register) {
			return u.unknown(i.register)
		}
		u.moved = true
		u.m.setSP(f, vtop.VA(f.Registers[i.register]-i.offset))
	case saveNonvolatile, saveFar:
		if !known {
			return u.unknown(i.register)
		}
		v, err := u.load(vtop.VA(base + c.operand))
		if err != nil {
			return err
		}
		f.set(c.info, v)
	}
	return nil // XMM registers, and what says where epilogues are
}

// restore pops a register.
func (u *unwinder64) restore(f *Frame, register int) error {
	v, err := u.pop(f)
	if err != nil {
		return err
	}
	if register == rsp { // "pop rsp" leaves what was popped
		u.moved = true
		u.m.setSP(f, vtop.VA(v))
		return nil
	}
	f.set(register, v)
	return nil
}

// unknown is the end of the walk at a register that nothing saved.
func (u *unwinder64) unknown(register int) error {
	return u.stop(UnknownRegister, u.pc, names64[register], nil)
}

// names64 are the names of the registers, for people.
var names64 = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// machineFrame is what the processor pushed at an interrupt or exception (Intel SDM
// vol. 3, 6.14.2): rip, cs, rflags, rsp, ss, behind an error code if there is one.
func (u *unwinder64) machineFrame(f Frame, errorCode bool) (Step, error) {
	if errorCode {
		if _, err := u.pop(&f); err != nil {
			return Step{}, err
		}
	}
	var v [4]uint64 // rip, cs, rflags, rsp
	for i := range v {
		var err error
		if v[i], err = u.pop(&f); err != nil {
			return Step{}, err
		}
	}
	u.moved = true
	f.Known &= u.m.saved
	f.PC, f.Exact, f.User = vtop.VA(v[0]), true, v[1]&3 != 0
	u.m.setSP(&f, vtop.VA(v[3]))
	return Step{Caller: f, How: MachineFrame}, nil
}
