package machine

import (
	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

var modes32 = []*vtop.Mode{vtop.PAE, vtop.X86}

// X86 is the machine of 32-bit Windows.
var X86 = &Machine{
	Header: winhdr.X86, Kernel: kdbg.X86, Unwind: unwind.X86, Core: elfX86, Map: mapPC,
	RootName: "CR3", RootFlags: "PCID", PointerName: "eip",
	Modes: modes32, Stated: vtop.PAE,
	Flat:      vtop.FlatX86,
	Likely:    likely32,
	Lacking:   lackingX86,
	Owns:      func(c *physmem.CPU) bool { x := physmem.X86Of(*c); return x != nil && x.Is32 && !longMode(x) },
	State:     state32,
	Registers: registers32,
}

// likely32: the header says it, and debuggers take what is not 1 for 0; then the
// vCPUs. What they say is not certain: QEMU's cores record the processors of a
// 32-bit guest as such also where it had not begun to use page tables.
func likely32(h *winhdr.Header, dump bool, cpus []physmem.CPU) []*vtop.Mode {
	switch {
	case h != nil && h.PaeEnabled == 1:
		return ordered(vtop.PAE, modes32)
	case h != nil && h.PaeEnabled == 0, dump:
		return ordered(vtop.X86, modes32)
	}
	for i := range cpus {
		if c := physmem.X86Of(cpus[i]); c != nil && c.HasSystem && !vtop.PAE.Control.In(c.CR4) {
			return ordered(vtop.X86, modes32)
		}
	}
	return modes32
}

// low is the part of a register that a 32-bit guest has.
func low(v uint64) uint32 { return uint32(v & 0xffffffff) }

// state32: the CONTEXT is in every byte as QEMU's win-dmp writes it, but for the
// registers that the container lacks. The kernel reaches its KPCR by FS.
func state32(cpu *physmem.CPU) State {
	c := physmem.X86Of(*cpu)
	if c == nil {
		return State{}
	}
	s := stateX86(c, modes32)
	s.Kernel.PCR = vtop.VA(c.KernelFS())
	ctx := &wincontext.Context32{
		ContextFlags: wincontext.ContextQEMU32,
		Dr6:          resetDr6, Dr7: resetDr7,
		SegCs: uint32(c.CS.Selector), SegDs: uint32(c.DS.Selector), SegEs: uint32(c.ES.Selector),
		SegFs: uint32(c.FS.Selector), SegGs: uint32(c.GS.Selector), SegSs: uint32(c.SS.Selector),
		EFlags: low(c.Rflags),
		Eax:    low(c.Rax), Ecx: low(c.Rcx), Edx: low(c.Rdx), Ebx: low(c.Rbx),
		Esp: low(c.Rsp), Ebp: low(c.Rbp), Esi: low(c.Rsi), Edi: low(c.Rdi),
		Eip: low(c.Rip),
	}
	if d := c.Debug; d != nil {
		ctx.Dr0, ctx.Dr1, ctx.Dr2, ctx.Dr3 = low(d.Dr0), low(d.Dr1), low(d.Dr2), low(d.Dr3)
		ctx.Dr6, ctx.Dr7 = low(d.Dr6), low(d.Dr7)
	}
	if floatState(c) != nil {
		ctx.ContextFlags |= wincontext.ContextExtendedRegisters32
		copy(ctx.ExtendedRegisters[:], c.FX)
	}
	s.Context = ctx
	return s
}

func registers32(s Saved) physmem.Registers {
	x, ok := s.Context.(*wincontext.Context32)
	c, _, special := registersX86(s)
	c.Is32 = true
	if !ok || !special {
		return c
	}
	c.Rax, c.Rbx, c.Rcx, c.Rdx = uint64(x.Eax), uint64(x.Ebx), uint64(x.Ecx), uint64(x.Edx)
	c.Rsi, c.Rdi, c.Rsp, c.Rbp = uint64(x.Esi), uint64(x.Edi), uint64(x.Esp), uint64(x.Ebp)
	c.Rip, c.Rflags = uint64(x.Eip), uint64(x.EFlags)
	segment := func(selector, flags uint32) physmem.Segment { return flatSegment(uint16(selector&0xffff), flags, 0) }
	c.CS, c.DS, c.ES = segment(x.SegCs, codeFlags32), segment(x.SegDs, dataFlags), segment(x.SegEs, dataFlags)
	c.FS, c.GS, c.SS = segment(x.SegFs, dataFlags), segment(x.SegGs, dataFlags), segment(x.SegSs, dataFlags)
	if c.CPL() == 0 { // what user mode has there is in no structure that was read
		c.FS.Base = uint64(s.PCR)
	}
	return c
}
