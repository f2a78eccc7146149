package machine

import (
	"fmt"

	"windmp/kdbg"
	"windmp/kdbg/specials"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

var modesARM64 = []*vtop.Mode{vtop.ARM64, vtop.ARM64Wide}

// ARM64 is the machine of Windows on 64-bit Arm.
var ARM64 = &Machine{
	Header: winhdr.ARM64, Kernel: kdbg.ARM64, Unwind: unwind.ARM64, Core: elfARM64, Map: mapARM64,
	RootName: "TTBR0_EL1", RootFlags: "ASID", PointerName: "pc", Settles: true, SettlesAlone: true,
	Modes:     modesARM64,
	Flat:      vtop.FlatARM64,
	Likely:    func(*winhdr.Header, bool, []physmem.CPU) []*vtop.Mode { return modesARM64 },
	Proves:    true,
	Lacking:   lackingARM64,
	Owns:      func(c *physmem.CPU) bool { return physmem.ARM64Of(*c) != nil },
	State:     stateARM64,
	Registers: registersARM64,
}

// mapARM64: RAM of QEMU's machine virt begins at 1 GiB (hw/arm/virt.c), that of many
// other boards at 2 GiB (LeechCore).
var mapARM64 = MemoryMap{
	Holes: []Hole{
		{physmem.Span(0, 1<<30), 0, "QEMU's machine virt of Arm"},
		{physmem.Span(0, 2<<30), 0, "many boards of Arm"},
	},
}

// lackingARM64: a breakpoint or watchpoint whose control register is 0 is off.
var lackingARM64 = []Lacking{
	{wincontext.DebugRegisters | wincontext.FloatRegisters, "breakpoint, floating-point or SIMD", "Bcr, Wcr and Fpcr 0"},
	{wincontext.DebugRegisters, "breakpoint", "Bcr and Wcr 0"},
	{wincontext.FloatRegisters, "floating-point or SIMD", "Fpcr 0"},
}

const (
	// kernelEL is the exception level of a kernel.
	kernelEL = 1
	// x18 is the register in which the kernel has its KPCR, and a process its TEB
	// (Microsoft, "Overview of ARM64 ABI conventions"; so it is in all eight contexts of
	// a dump of build 22000).
	x18 = 18
	// sctlrM is set with address translation (Arm ARM, SCTLR_EL1).
	sctlrM = 1
	// tpidrFlags is what of TPIDR_EL1 is no address: Windows keeps flags there.
	tpidrFlags = 0xfff
)

// stateARM64: the kernel has its KPCR in X18, and TPIDR_EL1 leads to it also while user
// mode runs.
func stateARM64(cpu *physmem.CPU) State {
	c := physmem.ARM64Of(*cpu)
	if c == nil {
		return State{}
	}
	s := State{
		InKernel: c.EL() == kernelEL && !c.In32(),
		Kernel:   kdbg.Registers{IP: vtop.VA(c.PC)},
		Context:  contextARM64(c),
	}
	if s.InKernel {
		s.Kernel.PCR = vtop.VA(c.X[x18])
	}
	if c.Vector != nil {
		s.Carries = wincontext.FloatRegisters
	}
	if y := c.System; y != nil {
		s.HasSystem, s.Root, s.Mode = true, y.TTBR0, vtop.ARM64
		if vtop.ARM64Wide.Control.In(y.TCR) {
			s.UpperRoot, s.Mode = y.TTBR1, vtop.ARM64Wide
		}
		s.Kernel.Alternates = []vtop.VA{vtop.VA(y.TPIDREL1 &^ tpidrFlags)}
		s.Elsewhere, s.Foreign = untranslatedARM64(c, s.Mode)
		if s.Foreign != "" {
			s.ForeignBy = fmt.Sprintf("TCR_EL1 is %#x", y.TCR)
		}
		s.Paged = s.Elsewhere == ""
		s.Specials = &specials.ARM64Values{
			TTBR0: y.TTBR0, TTBR1: y.TTBR1, TCR: y.TCR, MAIR: y.MAIR, SCTLR: y.SCTLR, CPACR: y.CPACR, VBAR: y.VBAR,
			ELR: y.ELR, SPSR: y.SPSR, ESR: y.ESR, FAR: y.FAR,
			TPIDREL0: y.TPIDREL0, TPIDRROEL0: y.TPIDRROEL0, TPIDREL1: y.TPIDREL1,
		}
	}
	return s
}

// untranslatedARM64 says what a vCPU did whose addresses were not translated as Windows
// has it, which is by the mode, and by which page tables if they are of another layout;
// empty for one whose were.
func untranslatedARM64(c *physmem.ARM64, mode *vtop.Mode) (elsewhere, foreign string) {
	y := c.System
	switch {
	case c.EL() > kernelEL:
		return fmt.Sprintf("ran at EL%d, as a hypervisor or firmware does", c.EL()), ""
	case y.SCTLR&sctlrM == 0:
		return "ran without address translation, as firmware does, or was not started", ""
	case !mode.Control.In(y.TCR):
		foreign = tablesARM64(y.TCR)
		return fmt.Sprintf("used page tables that are not read here, of %s: those of 4 KiB pages and halves of 47 or 48 bits are", foreign), foreign
	}
	return "", ""
}

// granules are the sizes of pages of the upper half, by TG1 of TCR_EL1, bits 30 and 31
// (Arm ARM, TCR_EL1).
var granules = [4]string{"an unknown granule", "16 KiB pages", "4 KiB pages", "64 KiB pages"}

// tablesARM64 says what of the layout of page tables is not Windows'.
func tablesARM64(tcr uint64) string {
	const addresses52, upperOff, lowerOff = 1 << 59, 1 << 23, 1 << 7
	granule := granules[tcr>>30&3]
	switch {
	case tcr&addresses52 != 0:
		return granule + " and addresses of 52 bits"
	case tcr&(upperOff|lowerOff) != 0:
		return granule + " and one half only"
	}
	return fmt.Sprintf("%s and halves of %d and %d bits", granule, 64-tcr&63, 64-tcr>>16&63)
}

func contextARM64(c *physmem.ARM64) *wincontext.ContextARM64 {
	ctx := &wincontext.ContextARM64{
		ContextFlags: wincontext.ContextFullARM64,
		Cpsr:         low(c.PSTATE),
		Fp:           c.X[29], Lr: c.X[30], Sp: c.SP, Pc: c.PC,
	}
	copy(ctx.X[:], c.X[:])
	if v := c.Vector; v != nil {
		for i := range ctx.V {
			ctx.V[i] = wincontext.M128A{Low: v.V[i][0], High: v.V[i][1]}
		}
		ctx.Fpcr, ctx.Fpsr = v.FPCR, v.FPSR
	}
	return ctx
}

func registersARM64(s Saved) physmem.Registers {
	c := new(physmem.ARM64)
	x, ok := s.Context.(*wincontext.ContextARM64)
	y, special := s.Specials.(*specials.ARM64Values)
	if !ok || !special {
		return c
	}
	copy(c.X[:], x.X[:])
	c.X[29], c.X[30], c.SP, c.PC, c.PSTATE = x.Fp, x.Lr, x.Sp, x.Pc, uint64(x.Cpsr)
	c.Vector = &physmem.ARM64Vector{FPSR: x.Fpsr, FPCR: x.Fpcr}
	for i := range x.V {
		c.Vector.V[i] = [2]uint64{x.V[i].Low, x.V[i].High}
	}
	c.System = &physmem.ARM64System{
		SCTLR: y.SCTLR, CPACR: y.CPACR, TTBR0: y.TTBR0, TTBR1: y.TTBR1, TCR: y.TCR, MAIR: y.MAIR, VBAR: y.VBAR,
		ELR: y.ELR, SPSR: y.SPSR, ESR: y.ESR, FAR: y.FAR,
		TPIDREL0: y.TPIDREL0, TPIDRROEL0: y.TPIDRROEL0, TPIDREL1: y.TPIDREL1,
	}
	return c
}
