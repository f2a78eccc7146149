package plan

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// Registers that a source does not carry get their value after reset (Intel SDM
// vol. 3, table 9-1): QEMU's notes have no debug registers, no MXCSR and no x87
// or SSE state.
const (
	resetMxCsr = 0x1f80
	resetDr6   = 0xffff0ff0
	resetDr7   = 0x400
)

// contextOf64 makes the CONTEXT of a vCPU, in every byte as QEMU's win-dmp writes
// it (dump/win_dump.c), but for the registers that the source lacks.
func contextOf64(c *physmem.CPU) *winhdr.Context64 {
	ctx := &winhdr.Context64{
		ContextFlags: winhdr.ContextQEMU,
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
	if state := floatState(c); state != nil {
		ctx.FltSave, ctx.MxCsr = *state, state.MxCsr
	}
	return ctx
}

// floatState is the x87 and SSE state of a vCPU, nil when the source lacks it.
// CONTEXT holds it as FXSAVE stores it (winnt.h, XSAVE_FORMAT); what that
// leaves to software, from byte 416 on, is not the guest's.
func floatState(c *physmem.CPU) *winhdr.XSaveFormat {
	if len(c.FX) != physmem.FXSize {
		return nil
	}
	state := new(winhdr.XSaveFormat)
	if _, err := binary.Decode(c.FX, binary.LittleEndian, state); err != nil {
		return nil
	}
	clear(state.Reserved4[:])
	return state
}

// cpuPlan is what is decided for one processor.
type cpuPlan struct {
	proc   *guest.Processor
	Source report.ContextSource
	// context is what the dump shows; nil when nothing is readable.
	Context winhdr.Context
	// note says why this source, for the report.
	Note string
	// differs is set when both are known and show another Rip, Rsp or CR3.
	differs bool
}

// chooseContexts decides for each processor whose registers the dump shows.
func (p *Plan) chooseContexts(mode ContextMode) {
	g := p.Guest
	for i := range g.Processors {
		c := p.ChooseContext(&g.Processors[i], mode)
		p.cpus = append(p.cpus, c)
		if mode == ContextsAuto && g.Crashed() && c.Source == report.FromVCPU {
			p.Addf(finding.IDSavedInvalid, finding.SeverityInfo, "VA "+c.proc.Context.String(), "", "processor %d: %s", c.proc.Index, c.Note)
		}
	}
	p.reportLackingRegisters()
}

func (p *Plan) ChooseContext(proc *guest.Processor, mode ContextMode) cpuPlan {
	c := cpuPlan{proc: proc, Source: report.FromSaved, Context: proc.Saved}
	if proc.Err != nil || proc.Saved == nil {
		return cpuPlan{proc: proc, Source: report.FromNone, Note: fmt.Sprintf("left out: %v", proc.SavedErr)}
	}
	if proc.VCPU == nil {
		c.Note = "no vCPU state in the source, what Windows last saved is kept"
		return c
	}
	c.differs = proc.Saved.IP() != proc.VCPU.Rip || proc.Saved.SP() != proc.VCPU.Rsp
	if mode == ContextsAuto && sameRegisters(p.Guest, proc.Saved, proc.VCPU) {
		c.Note = "the vCPU's registers are those in the guest's memory, which has more of them"
		return c
	}
	useVCPU, why := p.preferVCPU(proc, mode)
	c.Note = why
	if useVCPU {
		c.Source, c.Context = report.FromVCPU, contextOf(p.Guest, proc.VCPU)
	}
	return c
}

// sameRegisters tells whether a CONTEXT in memory agrees with a vCPU in every
// register that the source carries.
func sameRegisters(g *guest.Guest, saved winhdr.Context, v *physmem.CPU) bool {
	if saved.Plausible() != nil {
		return false
	}
	var carried winhdr.RegisterSet
	if v.Debug != nil {
		carried |= winhdr.DebugRegisters
	}
	if floatState(v) != nil {
		carried |= winhdr.FloatRegisters
	}
	return saved.Same(contextOf(g, v), carried)
}

// preferVCPU applies the mode to one processor that has both.
func (p *Plan) preferVCPU(proc *guest.Processor, mode ContextMode) (bool, string) {
	switch {
	case mode == ContextsVCPU:
		return true, "asked for"
	case mode == ContextsSaved:
		return false, "asked for"
	case p.Guest.BugCheck == nil:
		return true, "it is not known whether the guest had crashed: the vCPU's state is what was running"
	case !p.Guest.Crashed():
		return true, "the guest was live: its saved context is stale"
	}
	if err := validSaved(p.Guest, proc.Saved); err != nil {
		return true, fmt.Sprintf("the saved context is not valid (%v), the vCPU's is used", err)
	}
	return false, "saved by Windows at the bug check"
}

// validSaved checks a saved CONTEXT as far as the guest's own structures allow:
// flags and selectors, the instruction pointer inside a loaded image, the stack
// mapped.
func validSaved(g *guest.Guest, c winhdr.Context) error {
	if err := c.PlausibleKernel(); err != nil {
		return err
	}
	if !inModule(g, vtop.VA(c.IP())) {
		return fmt.Errorf("the instruction pointer %s is in no loaded image", vtop.VA(c.IP()))
	}
	if _, err := g.Space.Translate(vtop.VA(c.SP())); err != nil {
		return fmt.Errorf("the stack pointer: %w", err)
	}
	return nil
}

// inModule tells whether va lies in a loaded image.
func inModule(g *guest.Guest, va vtop.VA) bool {
	for i := range g.Modules {
		if m := &g.Modules[i]; va >= m.Base && uint64(va-m.Base) < uint64(m.Size) {
			return true
		}
	}
	return false
}

// reportLackingRegisters says once what the state of the vCPUs that are shown
// does not carry.
func (p *Plan) reportLackingRegisters() {
	debug, float, both := 0, 0, 0
	for _, c := range p.cpus {
		if c.Source != report.FromVCPU {
			continue
		}
		switch lacksFloat := floatState(c.proc.VCPU) == nil; {
		case c.proc.VCPU.Debug != nil && lacksFloat:
			float++
		case c.proc.VCPU.Debug == nil && lacksFloat:
			both++
		case c.proc.VCPU.Debug == nil:
			debug++
		}
	}
	report := func(n int, what, values string) {
		if n > 0 {
			p.Addf(finding.IDRegistersLacking, finding.SeverityInfo, "", "",
				"the source carries no %s registers: of %d processors they show the values after reset (%s, the rest 0)", what, n, values)
		}
	}
	dr := fmt.Sprintf("Dr6 %#x, Dr7 %#x", uint64(resetDr6), uint64(resetDr7))
	mxcsr := fmt.Sprintf("MxCsr %#x", uint64(resetMxCsr))
	report(both, "debug, x87, SSE or MXCSR", dr+", "+mxcsr)
	report(debug, "debug", dr)
	report(float, "x87, SSE or MXCSR", mxcsr)
}

// editContexts plans the writes into the guest's memory: the CONTEXT that
// WinDbg shows, and the special registers beside it.
func (p *Plan) editContexts() {
	for i := range p.cpus {
		c := &p.cpus[i]
		if c.Source == report.FromVCPU {
			p.edit(c.proc.Context, c.Context.Encode(), fmt.Sprintf("processor %d: CONTEXT of the vCPU", c.proc.Index))
		}
		if c.Source == report.FromVCPU || (c.Source == report.FromSaved && p.specialsUnusable(c)) {
			p.editSpecials(c)
		}
	}
}

// specialsUnusable tells whether the special registers beside a saved CONTEXT
// were never filled: then the engine can't look up its code segment.
func (p *Plan) specialsUnusable(c *cpuPlan) bool {
	if p.mode == ContextsSaved || c.proc.VCPU == nil || !c.proc.VCPU.HasSystem {
		return false
	}
	sr := c.proc.Specials
	if sr == nil || sr.Cr3 == 0 {
		return true
	}
	_, err := p.Guest.Space.Translate(vtop.VA(sr.Gdtr.Base))
	return err != nil
}

// Spans of KSPECIAL_REGISTERS that a vCPU's state fills.
const (
	offCr    = unsafe.Offsetof(kdbg.SpecialRegisters{}.Cr0)
	offDr    = unsafe.Offsetof(kdbg.SpecialRegisters{}.KernelDr0)
	offMxCsr = unsafe.Offsetof(kdbg.SpecialRegisters{}.MxCsr)
	offMsr   = unsafe.Offsetof(kdbg.SpecialRegisters{}.MsrGsBase)
	offGdtr  = unsafe.Offsetof(kdbg.SpecialRegisters{}.Gdtr) + unsafe.Offsetof(kdbg.Descriptor{}.Limit)
	offIdtr  = unsafe.Offsetof(kdbg.SpecialRegisters{}.Idtr) + unsafe.Offsetof(kdbg.Descriptor{}.Limit)
	offTr    = unsafe.Offsetof(kdbg.SpecialRegisters{}.Tr)
	sizeDesc = 10
)

// editSpecials sets CR0, CR2, CR3, CR4, GDTR, IDTR and TR of a processor, and
// of the debug registers, MXCSR and MSRs what the source carries. Cr8 is in no
// source: it is kept.
func (p *Plan) editSpecials(c *cpuPlan) {
	if !c.proc.VCPU.HasSystem {
		return
	}
	if c.proc.SpecialRegisters == 0 || c.proc.Specials == nil {
		p.Addf(finding.IDSpecialsUnread, finding.SeverityWarn, "VA "+c.proc.SpecialRegisters.String(), "WinDbg will show stale control registers.",
			"processor %d: the special registers in its PRCB are not readable", c.proc.Index)
		return
	}
	list := specials64
	if p.Guest.Is32() {
		list = specials32
	}
	for _, e := range list(c.proc.VCPU) {
		p.edit(c.proc.SpecialRegisters+vtop.VA(e.offset), e.bytes, fmt.Sprintf("processor %d: %s", c.proc.Index, e.what))
	}
}

// specialEdit is a part of KSPECIAL_REGISTERS: where it is from the structure's
// start, and what it holds.
type specialEdit struct {
	offset uintptr
	bytes  []byte
	what   string
}

// specials64 lists what a vCPU's state sets of them.
func specials64(v *physmem.CPU) []specialEdit {
	list := []specialEdit{
		{offCr, words(v.CR0, v.CR2, v.CR3, v.CR4), "CR0, CR2, CR3, CR4"},
		{offGdtr, descriptor(v.GDT), "GDTR"},
		{offIdtr, descriptor(v.IDT), "IDTR"},
		{offTr, binary.LittleEndian.AppendUint16(nil, v.TR.Selector), "TR"},
	}
	if d := v.Debug; d != nil {
		list = append(list, specialEdit{offDr, words(d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7), "DR0 to DR3, DR6, DR7"})
	}
	if f := floatState(v); f != nil {
		list = append(list, specialEdit{offMxCsr, binary.LittleEndian.AppendUint32(nil, f.MxCsr), "MXCSR"})
	}
	if m := v.MSR; m != nil && v.HasKernelGSBase {
		list = append(list, specialEdit{
			offMsr, words(v.GS.Base, v.KernelGSBase, m.STAR, m.LSTAR, m.CSTAR, m.SFMASK),
			"GS bases, STAR, LSTAR, CSTAR, SFMASK",
		})
	}
	return list
}

// words are registers as memory holds them.
func words(list ...uint64) []byte {
	var b []byte
	for _, v := range list {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// descriptor is a table register as SGDT stores it: limit, base.
func descriptor(s physmem.Segment) []byte {
	b := binary.LittleEndian.AppendUint16(make([]byte, 0, sizeDesc), uint16(s.Limit&0xffff))
	return binary.LittleEndian.AppendUint64(b, s.Base)
}
