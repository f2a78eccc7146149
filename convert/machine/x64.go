package machine

import (
	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

var modes64 = []*vtop.Mode{vtop.X64, vtop.LA57}

// X64 is the machine of 64-bit Windows.
var X64 = &Machine{
	Header: winhdr.X64, Kernel: kdbg.X64, Unwind: unwind.X64, Core: elfX64, Map: mapPC,
	RootName: "CR3", RootFlags: "PCID", PointerName: "rip", Settles: true,
	Modes:     modes64,
	Flat:      vtop.FlatX64,
	Likely:    likely64,
	Lacking:   lackingX86,
	Owns:      func(c *physmem.CPU) bool { x := physmem.X86Of(*c); return x != nil && (!x.Is32 || longMode(x)) },
	State:     state64,
	Registers: registers64,
}

// likely64 is the mode of the vCPUs, where the container records it.
func likely64(_ *winhdr.Header, _ bool, cpus []physmem.CPU) []*vtop.Mode {
	known := false
	for i := range cpus {
		c := physmem.X86Of(cpus[i])
		if c == nil {
			continue
		}
		if vtop.LA57.Control.In(c.CR4) {
			return modes64[1:]
		}
		known = known || c.HasSystem
	}
	if known {
		return modes64[:1]
	}
	return modes64
}

// longMode tells whether a vCPU ran 64-bit code, whatever it was recorded as. A
// segment that real mode loaded says nothing.
func longMode(c *physmem.X86) bool {
	return c.HasSystem && c.CR0&cr0PG != 0 && c.CS.Flags&physmem.SegmentLong != 0
}

// state64: the CONTEXT is in every byte as QEMU's win-dmp writes it
// (dump/win_dump.c), but for the registers that the container lacks. The kernel
// reaches its KPCR by GS.
func state64(cpu *physmem.CPU) State {
	c := physmem.X86Of(*cpu)
	if c == nil {
		return State{}
	}
	s := stateX86(c, modes64)
	s.Kernel.PCR = vtop.VA(c.KernelGS())
	s.Kernel.Alternates = []vtop.VA{vtop.VA(c.GS.Base), vtop.VA(c.KernelGSBase)}
	ctx := &wincontext.Context64{
		ContextFlags: wincontext.ContextQEMU,
		MxCsr:        resetMxCsr,
		SegCs:        c.CS.Selector, SegDs: c.DS.Selector, SegEs: c.ES.Selector,
		SegFs: c.FS.Selector, SegGs: c.GS.Selector, SegSs: c.SS.Selector,
		EFlags: uint32(c.Rflags & 0xffffffff),
		Dr6:    resetDr6, Dr7: resetDr7,
		Rax: c.Rax, Rcx: c.Rcx, Rdx: c.Rdx, Rbx: c.Rbx,
		Rsp: c.Rsp, Rbp: c.Rbp, Rsi: c.Rsi, Rdi: c.Rdi,
		R8: c.R8, R9: c.R9, R10: c.R10, R11: c.R11,
		R12: c.R12, R13: c.R13, R14: c.R14, R15: c.R15,
		Rip: c.Rip,
	}
	ctx.FltSave.MxCsr = resetMxCsr
	if d := c.Debug; d != nil {
		ctx.Dr0, ctx.Dr1, ctx.Dr2, ctx.Dr3, ctx.Dr6, ctx.Dr7 = d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7
	}
	if float := floatState(c); float != nil {
		ctx.FltSave, ctx.MxCsr = *float, float.MxCsr
	}
	s.Context = ctx
	return s
}

func registers64(s Saved) physmem.Registers {
	x, ok := s.Context.(*wincontext.Context64)
	c, v, special := registersX86(s)
	if !ok || !special {
		return c
	}
	c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rsi, c.Rdi, c.Rsp, c.Rbp = x.Rax, x.Rbx, x.Rcx, x.Rdx, x.Rsi, x.Rdi, x.Rsp, x.Rbp
	c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15 = x.R8, x.R9, x.R10, x.R11, x.R12, x.R13, x.R14, x.R15
	c.Rip, c.Rflags = x.Rip, uint64(x.EFlags)
	c.CS, c.DS, c.ES = flatSegment(x.SegCs, codeFlags, 0), flatSegment(x.SegDs, dataFlags, 0), flatSegment(x.SegEs, dataFlags, 0)
	c.FS, c.GS, c.SS = flatSegment(x.SegFs, dataFlags, 0), flatSegment(x.SegGs, dataFlags, uint64(s.PCR)), flatSegment(x.SegSs, dataFlags, 0)
	c.HasKernelGSBase = true
	if v.MSR != nil {
		c.KernelGSBase = v.MSR.GsSwap
	}
	if c.CPL() != 0 { // the kernel's GS base waits for SWAPGS
		c.GS.Base, c.KernelGSBase = c.KernelGSBase, uint64(s.PCR)
	}
	return c
}
