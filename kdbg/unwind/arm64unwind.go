package unwind

import (
	"encoding/binary"
	"fmt"

	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// entrySizeARM64 is the size of an entry of the exception directory, bytes: the RVA of a
// function and what its flag says.
const entrySizeARM64 = 8

// functionARM64 is the unwind data of a function or of a part of one.
type functionARM64 struct {
	begin  uint32 // RVA
	length uint32 // instructions
	// prologue are the codes from the body outwards, behind chainedARM64 those of the
	// main part's prologue.
	prologue  []codeARM64
	epilogues []epilogueARM64
	fragment  bool // it has no prologue of its own
}

// epilogueARM64 is where an epilogue begins, in instructions from the function's begin.
type epilogueARM64 struct {
	at    uint32
	codes []codeARM64
}

// unwinderARM64 is one step by unwind data.
type unwinderARM64 struct {
	*walk
	at     vtop.VA // the exception directory
	count  uint32  // its entries
	rva    uint32  // of the instruction that runs: for a return address, the call
	lr     bool    // the caller is at lr, and not at PC
	isCall bool    // the PC is a return address
	next   int     // save_next codes that wait for their pair
}

// unwindARM64 finds the caller by unwind data. Unwind codes say what each instruction of
// prologues and epilogues does: no code is looked at.
func (w *walk) unwindARM64(f Frame) (Step, error) {
	u := &unwinderARM64{walk: w, rva: w.rva, lr: true, isCall: true}
	if !f.Exact && u.rva >= instruction {
		u.rva -= instruction
	}
	if err := u.findTable(); err != nil {
		return Step{}, err
	}
	fn, ok, err := u.find()
	if err != nil {
		return Step{}, err
	}
	if !ok {
		return u.give(f, Leaf)
	}
	codes, how := fn.from((u.rva - fn.begin) / instruction)
	for _, c := range codes {
		if err := u.undo(&f, c); err != nil {
			return Step{}, err
		}
	}
	if u.next != 0 {
		return Step{}, u.malformed(fn.begin, "save_next without a pair behind it")
	}
	return u.give(f, how)
}

// boundsARM64 is where the function of the PC lies; false for parts of a function, whose
// main part no entry names.
func (w *walk) boundsARM64() (begin, end vtop.VA, ok bool) {
	u := &unwinderARM64{walk: w, rva: w.rva}
	if u.findTable() != nil {
		return 0, 0, false
	}
	fn, ok, err := u.find()
	if err != nil || !ok || fn.fragment {
		return 0, 0, false
	}
	begin = w.image.Base + vtop.VA(fn.begin)
	return begin, begin + instruction*vtop.VA(fn.length), true
}

// findTable takes the exception directory of the headers, or of the loader where they
// are not in memory.
func (u *unwinderARM64) findTable() error {
	at, size := u.image.Functions.VA, u.image.Functions.Size
	h, err := u.headers()
	if err == nil {
		u.use(Headers, h.Base, int(h.Length))
		at, size = u.image.Base+vtop.VA(h.Functions.RVA), h.Functions.Size
	}
	if size < entrySizeARM64 || !u.image.Holds(at) || uint64(size) > uint64(u.image.Size)-uint64(at-u.image.Base) {
		return u.stop(NoUnwindData, u.pc, "no exception directory", err)
	}
	u.at, u.count = at, size/entrySizeARM64
	return nil
}

// malformed is the end of the walk at unwind data that can't be right.
func (u *unwinderARM64) malformed(rva uint32, format string, args ...any) error {
	return u.stop(BadUnwindData, u.image.Base+vtop.VA(rva), fmt.Sprintf(format, args...), nil)
}

// entry reads one of the exception directory.
func (u *unwinderARM64) entry(i uint32) (begin, word uint32, err error) {
	var b [entrySizeARM64]byte
	at := u.at + entrySizeARM64*vtop.VA(i)
	if _, err := u.space.ReadVirtual(b[:], at); err != nil {
		return 0, 0, u.stop(NoUnwindData, at, "", err)
	}
	return binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:]), nil
}

// find is the function in which the instruction lies; false for one that has no entry.
func (u *unwinderARM64) find() (*functionARM64, bool, error) {
	low, high := uint32(0), u.count // the entries below low begin at or below the instruction
	var begin, word uint32
	for low < high {
		mid := low + (high-low)/2
		b, v, err := u.entry(mid)
		switch {
		case err != nil:
			return nil, false, err
		case b > u.rva || b == 0: // zeros are what linkers pad the end with
			high = mid
		default:
			begin, word, low = b, v, mid+1
		}
	}
	if low == 0 {
		if b, _, err := u.entry(0); err != nil || b == 0 {
			return nil, false, u.malformed(0, "the exception directory has been wiped")
		}
		return nil, false, nil
	}
	u.use(Entry, u.at+entrySizeARM64*vtop.VA(low-1), entrySizeARM64)
	fn, err := u.function(begin, word)
	if err != nil {
		return nil, false, err
	}
	return fn, (u.rva-begin)/instruction < fn.length, nil
}

// function decodes what an entry says.
func (u *unwinderARM64) function(begin, word uint32) (*functionARM64, error) {
	flag := word & 3
	switch flag {
	case flagRecord:
		return u.record(begin, word)
	case flagPacked, flagFragment:
	default:
		return nil, u.malformed(begin, "flag %d of a function entry", flag)
	}
	fn := &functionARM64{begin: begin, length: word >> 2 & 0x7ff, fragment: flag == flagFragment}
	prologue, epilogue, err := decodePacked(word).codes()
	if err != nil {
		return nil, u.malformed(begin, "%v", err)
	}
	fn.prologue = prologue
	if fn.fragment {
		fn.prologue = append([]codeARM64{{op: chainedARM64}}, prologue...)
		return fn, nil
	}
	if !fn.last(epilogue) {
		return nil, u.malformed(begin, "an epilogue longer than its function")
	}
	return fn, nil
}

// last adds an epilogue that ends the function; false if it is longer than that.
func (fn *functionARM64) last(codes []codeARM64) bool {
	n := size(codes) + 1
	if n > fn.length {
		return false
	}
	fn.epilogues = append(fn.epilogues, epilogueARM64{at: fn.length - n, codes: codes})
	return true
}

// Fields of the first words of an .xdata record.
const (
	recordVersion, recordHandler, recordOne = 18, 20, 21
	recordEpilogues, recordWords            = 22, 27
)

// record reads and decodes an .xdata record.
func (u *unwinderARM64) record(begin, rva uint32) (*functionARM64, error) {
	b, err := u.bytes(rva, 4)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	head := le.Uint32(b)
	if v := head >> recordVersion & 3; v != 0 {
		return nil, u.malformed(rva, "version %d", v)
	}
	size, epilogues, words := uint32(4), head>>recordEpilogues&31, head>>recordWords
	if epilogues == 0 && words == 0 {
		if b, err = u.bytes(rva, 8); err != nil {
			return nil, err
		}
		more := le.Uint32(b[4:])
		size, epilogues, words = 8, more&0xffff, more>>16&0xff
	}
	one, index := head>>recordOne&1 != 0, epilogues
	if one {
		epilogues = 0
	}
	scopes := size
	size += 4 * (epilogues + words)
	if b, err = u.bytes(rva, size); err != nil {
		return nil, err
	}
	u.use(UnwindData, u.image.Base+vtop.VA(rva), int(size))
	fn := &functionARM64{begin: begin, length: head & 0x3ffff}
	codes := b[scopes+4*epilogues:]
	if fn.prologue, err = sequence(codes, 0); err != nil {
		return nil, u.malformed(rva, "%v", err)
	}
	fn.fragment = fn.prologue[0].op == chainedARM64
	if one {
		epilogue, err := sequence(codes, index)
		if err != nil {
			return nil, u.malformed(rva, "%v", err)
		}
		if !fn.last(epilogue) {
			return nil, u.malformed(rva, "an epilogue longer than its function")
		}
		return fn, nil
	}
	return fn, u.epilogue(fn, rva, b[scopes:scopes+4*epilogues], codes)
}

// epilogue looks for the scope in which the instruction may lie. They ascend, so it is
// the last one that begins at or before it.
func (u *unwinderARM64) epilogue(fn *functionARM64, rva uint32, scopes, codes []byte) error {
	offset := (u.rva - fn.begin) / instruction
	found := false
	var at, index uint32
	for ; len(scopes) >= 4; scopes = scopes[4:] {
		scope := binary.LittleEndian.Uint32(scopes)
		if scope&0x3ffff > offset {
			break
		}
		found, at, index = true, scope&0x3ffff, scope>>22
	}
	if !found {
		return nil
	}
	c, err := sequence(codes, index)
	if err != nil {
		return u.malformed(rva, "%v", err)
	}
	fn.epilogues = append(fn.epilogues, epilogueARM64{at: at, codes: c})
	return nil
}

// bytes reads from the image.
func (u *unwinderARM64) bytes(rva, n uint32) ([]byte, error) {
	if rva > u.image.Size || n > u.image.Size-rva {
		return nil, u.malformed(rva, "not in the image")
	}
	b := make([]byte, n)
	if _, err := u.space.ReadVirtual(b, u.image.Base+vtop.VA(rva)); err != nil {
		return nil, u.stop(NoUnwindData, u.image.Base+vtop.VA(rva), "", err)
	}
	return b, nil
}

// size is how many instructions a prologue's codes stand for, or an epilogue's without
// its return.
func size(codes []codeARM64) uint32 {
	n := uint32(0)
	for _, c := range codes {
		if c.op == endARM64 || c.op == chainedARM64 {
			break
		}
		n += c.instructions()
	}
	return n
}

// from are the codes that undo what has been done at an instruction of the function.
func (fn *functionARM64) from(offset uint32) ([]codeARM64, How) {
	if n := size(fn.prologue); offset < n {
		return skip(fn.prologue, n-offset), Unwind
	}
	for _, e := range fn.epilogues {
		if offset >= e.at && offset-e.at <= size(e.codes) {
			return skip(e.codes, offset-e.at), Epilogue
		}
	}
	return fn.prologue, Unwind
}

// skip leaves out the codes of some instructions, but none behind the scope's end.
func skip(codes []codeARM64, n uint32) []codeARM64 {
	for n > 0 && codes[0].op != endARM64 && codes[0].op != chainedARM64 {
		n -= codes[0].instructions()
		codes = codes[1:]
	}
	return codes
}

// undo carries out one code.
func (u *unwinderARM64) undo(f *Frame, c codeARM64) error {
	if u.next > 0 && c.op != saveNextARM64 && (c.op != restoreARM64 || c.count != 2) {
		return u.stop(BadUnwindData, u.pc, "save_next without a pair behind it", nil)
	}
	switch c.op {
	case restoreARM64:
		return u.restore(f, c)
	case nothingARM64:
		return u.drop(f, c.up)
	case setFrameARM64:
		if !f.Has(fpARM64) {
			return u.stop(UnknownRegister, u.pc, "x29", nil)
		}
		u.moved = true
		u.m.setSP(f, vtop.VA(f.Registers[fpARM64]-c.offset))
	case saveNextARM64:
		u.next++
	case trapFrameARM64:
		return u.trap(f)
	case machineARM64:
		return u.machine(f)
	case contextARM64:
		return u.context(f)
	case clearARM64:
		if !f.Has(lrARM64) {
			return u.stop(UnknownRegister, u.pc, "x30", nil)
		}
		u.lr, u.isCall = false, false
		f.Known &= u.m.saved
		f.PC = u.withoutPAC(f.Registers[lrARM64])
	case endARM64, chainedARM64: // what follows end_c undoes the main part's prologue
	}
	return nil
}

// restore loads saved registers; pairs of save_next lie behind. Those behind x28 are the
// first ones of floating point.
func (u *unwinderARM64) restore(f *Frame, c codeARM64) error {
	count := c.count + 2*u.next
	last := c.register + count - 1
	if u.next > 0 && c.register < fpARM64 {
		last = min(last, fpARM64-1)
	}
	u.next = 0
	if c.float {
		return u.drop(f, c.up)
	}
	if last > lrARM64 {
		return u.stop(BadUnwindData, u.pc, "registers behind x30", nil)
	}
	at := f.SP + vtop.VA(c.offset)
	for r := c.register; r <= last; r++ {
		if err := u.fetch(f, r, at); err != nil {
			return err
		}
		at += 8
	}
	if c.second != 0 {
		if err := u.fetch(f, c.second, at); err != nil {
			return err
		}
	}
	return u.drop(f, c.up)
}

// fetch loads a register from the stack.
func (u *unwinderARM64) fetch(f *Frame, register int, at vtop.VA) error {
	v, err := u.load(at)
	if err == nil {
		f.set(register, v)
	}
	return err
}

// give ends a frame: its caller goes on at lr, or at what a frame of Windows' own said.
func (u *unwinderARM64) give(f Frame, how How) (Step, error) {
	f.User = f.User || !u.lr && f.PC != 0 && !u.space.Mode.IsKernel(f.PC)
	if !u.lr {
		f.Exact = !u.isCall
		return Step{Caller: f, How: MachineFrame}, nil
	}
	if !f.Has(lrARM64) {
		return Step{}, u.stop(UnknownRegister, u.pc, "x30", nil)
	}
	f.PC, f.Exact = u.withoutPAC(f.Registers[lrARM64]), false
	f.Known &= u.m.saved
	if f.PC != 0 && u.checkReturn(f.PC) == noReturn {
		return Step{}, u.stop(NoUnwindData, u.pc, "no return address in x30", nil)
	}
	return Step{Caller: f, How: how}, nil
}

// trap takes what the KTRAP_FRAME at sp saved; x19 to x28 are as they were.
func (u *unwinderARM64) trap(f *Frame) error {
	if _, err := u.load(f.SP); err != nil {
		return err
	}
	t, err := u.m.TrapFrame(u.space, f.SP)
	if err != nil {
		return u.stop(BadUnwindData, f.SP, "no trap frame", err)
	}
	for r := firstSaved; r < fpARM64; r++ {
		if f.Has(r) {
			t.set(r, f.Registers[r])
		}
	}
	*f, u.moved, u.lr, u.isCall = t, true, false, false
	return nil
}

// machine takes the sp and pc that lie at sp. Nothing tells of the volatile registers.
func (u *unwinderARM64) machine(f *Frame) error {
	sp, err := u.load(f.SP)
	if err != nil {
		return err
	}
	pc, err := u.load(f.SP + 8)
	if err != nil {
		return err
	}
	f.Known &= u.m.saved
	f.PC = vtop.VA(pc)
	u.m.setSP(f, vtop.VA(sp))
	u.moved, u.lr, u.isCall = true, false, false
	return nil
}

// unwoundToCall is the bit of ContextFlags by which a PC is a return address
// (CONTEXT_UNWOUND_TO_CALL of winnt.h).
const unwoundToCall = 0x20000000

// context takes the CONTEXT at sp.
func (u *unwinderARM64) context(f *Frame) error {
	if _, err := u.load(f.SP); err != nil {
		return err
	}
	b := make([]byte, wincontext.ContextSizeARM64)
	if _, err := u.space.ReadVirtual(b, f.SP); err != nil {
		return u.stop(NoStack, f.SP, "", err)
	}
	c, err := wincontext.DecodeContextARM64(b)
	if err != nil {
		return u.stop(BadUnwindData, f.SP, "no CONTEXT", err)
	}
	next, ok := u.m.Frame(c)
	if !ok {
		return u.stop(BadUnwindData, f.SP, "no CONTEXT", nil)
	}
	*f, u.moved, u.lr = next, true, false
	u.isCall = c.ContextFlags&unwoundToCall != 0
	return nil
}
