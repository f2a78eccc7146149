package triage

import (
	"encoding/binary"

	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
)

const pageSize = physmem.PageSize

// tiers are what is collected behind what no debugger does without, in this order.
var tiers = []struct {
	name    string
	collect func(*planner)
}{
	{"what debuggers ask the kernel for", (*planner).takeKernel},
	{"what the bug check tells", (*planner).takeBugCheck},
	{"what registers point to", (*planner).takeRegisters},
	{"what walks the stack", (*planner).takeUnwindData},
	{"tables, and what drivers registered", (*planner).takeTables},
	{"the other processors", (*planner).takeOthers},
	{"the process that is kept", (*planner).takeProcess},
	{"what pointers lead to", (*planner).takePointers},
}

// takeKernel is tier 1.
func (p *planner) takeKernel() {
	p.takeVariables()
	p.take(SharedData, p.view.kernel.Layout.SharedUserData, pageSize)
}

// parameterSize is what is kept of what a parameter of the bug check points to, bytes:
// enough for the largest that they are said to be, a CONTEXT (x64: 0x4d0), beside
// EXCEPTION_RECORD (0x98) and KTRAP_FRAME (0x190).
const parameterSize = 0x500

// takeBugCheck is tier 2.
func (p *planner) takeBugCheck() {
	p.take(Code, vtop.VA(p.context().IP())&^(pageSize-1), pageSize)
	for _, v := range p.Header.BugCheckParameters {
		p.take(Parameters, vtop.VA(v), parameterSize)
	}
}

// pointed are the values that whoever reads the dump looks at first: the general
// registers, and the parameters of the bug check.
func (p *planner) pointed() []vtop.VA {
	var list []vtop.VA
	if f, ok := p.state(); ok {
		for i, v := range f.Registers {
			if f.Has(i) {
				list = append(list, vtop.VA(v))
			}
		}
	}
	for _, v := range p.Header.BugCheckParameters {
		list = append(list, vtop.VA(v))
	}
	return list
}

// state are the general registers that are shown; false for a machine of which it is
// not known which those are.
func (p *planner) state() (unwind.Frame, bool) {
	if method := p.Guest.Machine().Unwind; method != nil {
		return method.Frame(p.context())
	}
	return unwind.Frame{}, false
}

// takeRegisters is tier 3.
func (p *planner) takeRegisters() {
	for _, va := range p.pointed() {
		p.take(RegisterPages, va&^(pageSize-1), pageSize)
	}
}

const (
	// maxRegistered bounds the ranges that drivers registered, maxRegisteredSize each
	// of them, bytes: real dumps have up to 24.
	maxRegistered     = 256
	maxRegisteredSize = 64 << 10
)

// takeTables is tier 5.
func (p *planner) takeTables() {
	if p.Shown.Specials != nil {
		t := p.Shown.Specials.CodeTable()
		p.take(Tables, t.Base, uint64(t.Limit)+1)
	}
	p.takeRegistered()
	p.take(KernelHeaders, vtop.VA(p.view.kernel.Data.KernBase), pageSize)
	p.takeEntries(vtop.VA(p.context().IP()))
	for _, va := range p.pointed() {
		p.takeEntries(va)
	}
}

// takeRegistered keeps the ranges that drivers registered for small dumps: an array of
// pairs of addresses.
func (p *planner) takeRegistered() {
	k := p.view.kernel
	n, err := k.Space.Uint32(vtop.VA(k.Data.IopNumTriageDumpDataBlocks))
	if err != nil || k.Data.IopNumTriageDumpDataBlocks == 0 {
		return
	}
	at := vtop.VA(k.Data.IopTriageDumpDataBlocks)
	step := vtop.VA(k.Layout.PointerSize) //nolint:gosec // 4 or 8
	for range min(n, maxRegistered) {
		start, err1 := k.Pointer(at)
		end, err2 := k.Pointer(at + step)
		if err1 != nil || err2 != nil {
			return
		}
		if end > start {
			p.take(DriverData, start, min(uint64(end-start), maxRegisteredSize))
		}
		at += 2 * step
	}
}

// takeEntries keeps the page table entries on the way to an address, where Windows
// maps them: the entry of a page, that of the table that this is in, and so on.
func (p *planner) takeEntries(va vtop.VA) {
	k := p.view.kernel
	base := k.PageTables()
	if base == 0 || p.view.mayHold(va) == nil {
		return
	}
	mode := k.Space.Mode
	mask := vtop.VA(1)<<mode.TableBits() - 1
	size := vtop.VA(mode.EntrySize) //nolint:gosec // 4 or 8
	for range mode.Levels {
		va = base + (va&mask)/pageSize*size
		p.take(PageTables, va, uint64(size))
	}
}

// takeOthers is tier 6: of each processor what Windows itself keeps since build 19041,
// and first of the shown one what has no place of its own at its address.
func (p *planner) takeOthers() {
	k := p.view.kernel
	registers := uint64(p.Header.Format().Registers.Size()) //nolint:gosec // some hundred
	p.take(Others, p.Shown.PRCB, uint64(k.Data.SizePrcb))
	p.take(Others, p.Shown.Processor.Context, registers)
	for _, c := range p.Others {
		p.take(Others, c.PRCB, uint64(k.Data.SizePrcb))
		p.take(Others, c.Processor.Context, registers)
		if c.Context != nil {
			sp := vtop.VA(c.Context.SP())
			p.take(Others, sp, uint64(pageSize-sp%pageSize))
		}
	}
}

const (
	// pointedSize is what is kept of what a pointer leads to, bytes, as in Windows'
	// own small dumps (build 19041).
	pointedSize = 0x100
	// pointedAlign is how such a piece begins: pool is given out in steps of 16 bytes.
	pointedAlign = 0x10
	// maxPointers bounds how many pointers are followed.
	maxPointers = 1 << 14
)

// takePointers is tier 7: breadth first from stack, thread and process.
func (p *planner) takePointers() {
	size := p.view.kernel.Layout.PointerSize
	queue := [][]byte{p.parts.stack.data, p.parts.thread.data, p.parts.process.data}
	for followed := 0; len(queue) > 0; queue = queue[1:] {
		for b := queue[0]; len(b) >= size; b = b[size:] {
			va := p.pointerAt(b, size) &^ (pointedAlign - 1)
			if p.view.mayHold(va) == nil || p.followed[va] {
				continue
			}
			if followed++; followed > maxPointers || p.room() < pointedSize {
				return
			}
			p.followed[va] = true
			if list := p.take(Pointers, va, pointedSize); !p.inImage(va) {
				for i := range list {
					queue = append(queue, list[i].data)
				}
			}
		}
	}
}

// pointerAt is the pointer that b begins with.
func (p *planner) pointerAt(b []byte, size int) vtop.VA {
	var word [8]byte
	copy(word[:], b[:size])
	return vtop.VA(binary.LittleEndian.Uint64(word[:]))
}
