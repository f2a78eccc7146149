package machine

import (
	"encoding/binary"
	"fmt"

	"windmp/kdbg"
	"windmp/kdbg/specials"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// Registers that a container does not carry get their value after reset (Intel SDM
// vol. 3, table 9-1): QEMU's notes have no debug registers, no MXCSR and no x87 or
// SSE state.
const (
	resetMxCsr = 0x1f80
	resetDr6   = 0xffff0ff0
	resetDr7   = 0x400
)

// lackingX86 are the sets that containers of x64 and x86 may lack.
var lackingX86 = []Lacking{
	{
		wincontext.DebugRegisters | wincontext.FloatRegisters, "debug, x87, SSE or MXCSR",
		fmt.Sprintf("Dr6 %#x, Dr7 %#x, MxCsr %#x", uint64(resetDr6), uint64(resetDr7), uint64(resetMxCsr)),
	},
	{wincontext.DebugRegisters, "debug", fmt.Sprintf("Dr6 %#x, Dr7 %#x", uint64(resetDr6), uint64(resetDr7))},
	{wincontext.FloatRegisters, "x87, SSE or MXCSR", fmt.Sprintf("MxCsr %#x", uint64(resetMxCsr))},
}

// Bits of CR0 (Intel SDM vol. 3, 2.5).
const (
	cr0PE = 1 << 0
	cr0PG = 1 << 31
)

// stateX86 reads what x64 and x86 have in common.
func stateX86(c *physmem.X86, modes []*vtop.Mode) State {
	s := State{
		HasSystem: c.HasSystem,
		Root:      c.CR3, Mode: modeX86(c, modes),
		Paged:    c.CR0&cr0PE != 0 && c.CR0&cr0PG != 0,
		InKernel: c.CPL() == 0,
		Carries:  carriesX86(c),
		Kernel:   kdbg.Registers{IDT: vtop.VA(c.IDT.Base), GDT: vtop.VA(c.GDT.Base), TSS: vtop.VA(c.TR.Base), IP: vtop.VA(c.Rip)},
	}
	if c.MSR != nil {
		s.Kernel.SystemCall = vtop.VA(c.MSR.LSTAR)
	}
	if c.HasSystem {
		s.Specials = specialsX86(c)
		s.Elsewhere = unpagedX86(c)
	}
	return s
}

// modeX86 is the one of a machine's paging modes that a vCPU used, by its registers.
// As what the container recorded the vCPU does not count: QEMU calls all those of an
// x64 machine 32-bit ones when the first of them had left 64-bit mode.
func modeX86(c *physmem.X86, list []*vtop.Mode) *vtop.Mode {
	for _, m := range list {
		if m.Control.In(c.CR4) {
			return m
		}
	}
	return list[0]
}

// resetBase and resetIP are where a processor begins after a reset (Intel SDM vol. 3,
// 10.1.4).
const (
	resetBase = 0xffff0000
	resetIP   = 0xfff0
)

// unpagedX86 says what a vCPU did that used no page tables; empty for one that did.
// System management mode begins like real mode, with its code at 0x8000 in a segment
// whose selector is not checked (Intel SDM vol. 3, 32.5).
func unpagedX86(c *physmem.X86) string {
	switch {
	case c.CR0&cr0PE == 0 && c.CS.Base == resetBase && c.Rip == resetIP:
		return "was at the reset vector"
	case c.CR0&cr0PE == 0 && c.NoTables:
		return "was in real mode or system management mode (SMM), or at the reset vector: the source does not say the segment"
	case c.CR0&cr0PE == 0:
		return "was in real mode or system management mode (SMM)"
	case c.CR0&cr0PG == 0:
		return "ran without paging, as firmware and boot loaders do"
	}
	return ""
}

func carriesX86(c *physmem.X86) (set wincontext.RegisterSet) {
	if c.Debug != nil {
		set |= wincontext.DebugRegisters
	}
	if floatState(c) != nil {
		set |= wincontext.FloatRegisters
	}
	return set
}

// floatState is the x87 and SSE state of a vCPU, nil when the container lacks it.
// CONTEXT holds it as FXSAVE stores it (winnt.h, XSAVE_FORMAT); what that leaves to
// software, from byte 416 on, is not the guest's.
func floatState(c *physmem.X86) *wincontext.XSaveFormat {
	if len(c.FX) != physmem.FXSize {
		return nil
	}
	state := new(wincontext.XSaveFormat)
	if _, err := binary.Decode(c.FX, binary.LittleEndian, state); err != nil {
		return nil
	}
	clear(state.Reserved4[:])
	return state
}

// specialsX86 are the special registers that a vCPU's state sets.
func specialsX86(c *physmem.X86) specials.Registers {
	table := func(s physmem.Segment) specials.Table {
		return specials.Table{Limit: uint16(s.Limit & 0xffff), Base: vtop.VA(s.Base)}
	}
	v := &specials.X86Values{
		Cr0: c.CR0, Cr2: c.CR2, Cr3: c.CR3, Cr4: c.CR4,
		NoTables: c.NoTables,
		Gdtr:     table(c.GDT), Idtr: table(c.IDT), Tr: c.TR.Selector, Ldtr: c.LDT.Selector,
	}
	if d := c.Debug; d != nil {
		v.Debug = &specials.DebugRegisters{Dr0: d.Dr0, Dr1: d.Dr1, Dr2: d.Dr2, Dr3: d.Dr3, Dr6: d.Dr6, Dr7: d.Dr7}
	}
	if f := floatState(c); f != nil {
		v.MxCsr = &f.MxCsr
	}
	if m := c.MSR; m != nil && c.HasKernelGSBase {
		v.MSR = &specials.SystemMSRs{
			GsBase: c.GS.Base, GsSwap: c.KernelGSBase,
			Star: m.STAR, LStar: m.LSTAR, CStar: m.CSTAR, FMask: m.SFMASK,
		}
	}
	return v
}

// Hidden parts of segment registers, as QEMU keeps them (target/i386/cpu.h,
// DESC_*): flat ones; in 64-bit mode bases and limits are not used.
const (
	codeFlags   = 0xa09b00 // present, code, 64-bit
	codeFlags32 = 0xc09b00 // present, code, 32-bit
	dataFlags   = 0xc09300 // present, data
	flatLimit   = 0xffffffff
)

func flatSegment(selector uint16, flags uint32, base uint64) physmem.Segment {
	return physmem.Segment{Selector: selector, Limit: flatLimit, Flags: flags, Base: base}
}

// registersX86 is what x64 and x86 have in common of registers made of a processor's special
// registers; false if they are of another machine.
func registersX86(s Saved) (*physmem.X86, *specials.X86Values, bool) {
	v, ok := s.Specials.(*specials.X86Values)
	if !ok {
		return new(physmem.X86), nil, false
	}
	table := func(t specials.Table) physmem.Segment {
		return physmem.Segment{Limit: uint32(t.Limit), Base: uint64(t.Base)}
	}
	tr := physmem.Segment{Selector: v.Tr}
	// Only the selector is known when the descriptor is unreadable.
	if t, err := s.Task(v.Gdtr.Base, v.Tr); err == nil {
		tr.Limit, tr.Flags, tr.Base = t.Limit, t.Flags, t.Base
	}
	return &physmem.X86{
		LDT: physmem.Segment{Selector: v.Ldtr}, TR: tr,
		GDT: table(v.Gdtr), IDT: table(v.Idtr),
		CR0: v.Cr0, CR2: v.Cr2, CR3: v.Cr3,
		// Verified by the page tables; a stale CR4 in memory may lack it.
		CR4:       v.Cr4 | s.Mode.Control.Value,
		HasSystem: true,
	}, v, true
}
