package unwind

import (
	"bytes"
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// epilogue carries out the rest of an epilogue if the PC is in one: done says so.
// Version 2 says where epilogues are; for version 1 the code tells.
func (u *unwinder64) epilogue(f Frame, i *unwindInfo, code []byte, cut bool) (step Step, done bool, err error) {
	if i.version == 2 {
		offset, in := u.inEpilogue(i)
		if !in {
			return Step{}, false, nil
		}
		step, err = u.mirror(f, i, offset)
		return step, true, err
	}
	e, ok, short := u.parseEpilogue(code, i)
	if !ok {
		return Step{NoCode: short && cut}, false, nil
	}
	step, err = u.carryOut(f, e)
	return step, true, err
}

// instructions are those of an epilogue that change the stack pointer: add, or lea from
// the frame register, then pop.
type instructions struct {
	register int // of lea; 0: the stack pointer
	add      int64
	pops     []int
}

// carryOut does what the instructions would, and returns.
func (u *unwinder64) carryOut(f Frame, e instructions) (Step, error) {
	if e.register != 0 {
		if !f.Has(e.register) {
			return Step{}, u.unknown(e.register)
		}
		u.moved = true
		u.m.setSP(&f, vtop.VA(f.Registers[e.register]))
	}
	u.m.setSP(&f, f.SP+vtop.VA(e.add)) //nolint:gosec // wraps as the processor does; what it leads to is checked
	for _, r := range e.pops {
		if err := u.restore(&f, r); err != nil {
			return Step{}, err
		}
	}
	return u.give(f, Epilogue)
}

// parseEpilogue reads what the code at the PC does, if that is the rest of an epilogue:
// add rsp or lea rsp, pops, and then a return or a jump out of the function. short says
// that the code ended before that was to be seen.
func (u *unwinder64) parseEpilogue(code []byte, i *unwindInfo) (e instructions, ok, short bool) {
	rest := e.adjust(code, i.register)
	for {
		n, r := popOf(rest)
		if n == 0 {
			break
		}
		e.pops, rest = append(e.pops, r), rest[n:]
	}
	if len(rest) > 0 && rest[0] == 0xf2 { // repne: bnd
		rest = rest[1:]
	}
	const longest = 6 // bytes, of what ends an epilogue
	return e, u.ends(rest, len(code)-len(rest), i), len(rest) < longest
}

// adjust takes add rsp,n or lea rsp,[frame register+n] off the code.
func (e *instructions) adjust(code []byte, register int) []byte {
	size, at := 0, 3
	switch {
	case len(code) < 4:
		return code
	case code[0] == 0x48 && code[1] == 0x83 && code[2] == 0xc4:
		size = 1
	case code[0] == 0x48 && code[1] == 0x81 && code[2] == 0xc4:
		size = 4
	case code[0]&0xfe == 0x48 && code[1] == 0x8d && register != 0 && int(code[0]&1<<3|code[2]&7) == register:
		switch code[2] & 0xf8 {
		case 0x60:
			size = 1
		case 0xa0:
			size = 4
		}
		if register&7 == 4 { // r12 needs a SIB byte, and is not taken for a frame register
			size = 0
		}
		if size != 0 {
			e.register = register
		}
	}
	switch {
	case size == 1:
		e.add = int64(int8(code[at])) //nolint:gosec // it is signed
	case size == 4 && len(code) >= at+4:
		e.add = int64(int32(binary.LittleEndian.Uint32(code[at:]))) //nolint:gosec // it is signed
	default:
		return code
	}
	return code[at+size:]
}

// popOf is the length of a pop at the start of the code, and its register; 0 for none.
func popOf(code []byte) (length, register int) {
	switch {
	case len(code) > 0 && code[0]&0xf8 == 0x58:
		return 1, int(code[0] & 7)
	case len(code) > 1 && code[0]&0xf0 == 0x40 && code[1]&0xf8 == 0x58:
		return 2, int(code[0]&1<<3 | code[1]&7)
	}
	return 0, 0
}

// ends reports whether the code, off bytes behind the PC, is the end of an epilogue: ret
// or a jump to another function.
func (u *unwinder64) ends(code []byte, off int, i *unwindInfo) bool {
	is := func(b ...byte) bool { return len(code) >= len(b) && bytes.Equal(code[:len(b)], b) }
	target := int64(u.rva) + int64(off)
	switch {
	case is(0xc3), is(0xc2), is(0xf3, 0xc3), is(0xff, 0x25):
		return true
	case len(code) >= 2 && code[0] == 0xeb:
		return u.elsewhere(target+2+int64(int8(code[1])), i) //nolint:gosec // it is signed
	case len(code) >= 5 && code[0] == 0xe9:
		return u.elsewhere(target+5+int64(int32(binary.LittleEndian.Uint32(code[1:]))), i) //nolint:gosec // it is signed
	}
	// A jump through a register or memory with REX.W, which means nothing else in it.
	return len(code) >= 3 && code[0]&0xf8 == 0x48 && code[1] == 0xff && code[2]&0x38 == 0x20
}

// elsewhere reports whether a jump leaves the function, or begins it anew: it leads
// neither into the entry nor into one that belongs to the same function.
func (u *unwinder64) elsewhere(target int64, i *unwindInfo) bool {
	if target < 0 || target >= int64(u.table.Size) {
		return true
	}
	rva := uint32(target) //nolint:gosec // below Size
	if rva >= i.function.Begin && rva < i.function.End {
		return rva == i.function.Begin && i.flags&flagChained == 0
	}
	fn, at, err := u.table.Find(u.space, rva)
	if err != nil || at == 0 {
		return true
	}
	ours, err := u.primary(i.function)
	if err != nil {
		return true
	}
	theirs, err := u.primary(fn)
	return err != nil || theirs.Begin != ours.Begin || rva == theirs.Begin
}

// primary is the entry of the function that an entry belongs to.
func (u *unwinder64) primary(fn peimage.Function) (peimage.Function, error) {
	for range maxChain {
		entry, err := u.direct(fn)
		if err != nil {
			return entry, err
		}
		i, err := u.info(entry)
		if err != nil || i.flags&flagChained == 0 {
			return entry, err
		}
		fn = i.chained
	}
	return fn, u.malformed(fn.Begin, "more than %d chained entries", maxChain)
}

// inEpilogue looks whether the PC is in an epilogue that version 2 tells of, and how far.
// The first code has their size; its info says that one is at the function's end. The
// others have their distances from there.
func (u *unwinder64) inEpilogue(i *unwindInfo) (uint32, bool) {
	if len(i.codes) == 0 || i.codes[0].op != epilogueCode {
		return 0, false
	}
	size := i.codes[0].at
	in := func(distance uint32) (uint32, bool) {
		offset := u.rva - (i.function.End - distance)
		return offset, offset < size
	}
	if i.codes[0].info&1 != 0 {
		if offset, ok := in(size); ok {
			return offset, true
		}
	}
	for _, c := range i.codes[1:] {
		distance := c.at | uint32(c.info)<<8 //nolint:gosec // 4 bits
		if c.op != epilogueCode || distance == 0 {
			break
		}
		if offset, ok := in(distance); ok {
			return offset, true
		}
	}
	return 0, false
}

// mirror undoes what an epilogue of version 2 has not undone yet, offset bytes behind
// its begin: it mirrors the pushes of the prologue, which all belong to one entry, and
// ends in a return or iretq.
func (u *unwinder64) mirror(f Frame, i *unwindInfo, offset uint32) (Step, error) {
	codes, err := u.pushes(i)
	if err != nil {
		return Step{}, err
	}
	at := uint32(0)
	for len(codes) > 0 && codes[0].op == pushNonvolatile {
		r := codes[0].info
		if at >= offset {
			if err := u.restore(&f, r); err != nil {
				return Step{}, err
			}
		}
		at += 1 + uint32(r>>3) //nolint:gosec // 0..15
		codes = codes[1:]
	}
	if len(codes) > 0 && codes[0].op == allocSmall && codes[0].info == 0 { // pushfq
		if at >= offset {
			if err := u.drop(&f, 8); err != nil {
				return Step{}, err
			}
		}
		codes = codes[1:]
	}
	switch {
	case len(codes) == 0:
		return u.give(f, Epilogue)
	case codes[0].op == pushMachine:
		return u.machineFrame(f, false)
	}
	return Step{}, u.malformed(i.function.Unwind, "an epilogue for a prologue that allocates before it pushes")
}

// pushes are the operations from the first push on, of the first entry in the chain that
// has one.
func (u *unwinder64) pushes(i *unwindInfo) ([]unwindCode, error) {
	for range maxChain {
		for k, c := range i.codes {
			if c.op == pushNonvolatile || c.op == pushMachine {
				return i.codes[k:], nil
			}
		}
		if i.flags&flagChained == 0 {
			return nil, nil
		}
		next, err := u.parent(i)
		if err != nil {
			return nil, err
		}
		i = next
	}
	return nil, u.malformed(i.function.Unwind, "more than %d chained entries", maxChain)
}
