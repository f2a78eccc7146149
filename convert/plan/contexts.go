package plan

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/vtop"
	"windmp/winhdr"
)

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
			p.Add(finding.SavedInvalid.At("VA "+c.proc.Context.String(), "processor %d: %s", c.proc.Index, c.Note))
		}
	}
	p.reportLackingRegisters()
}

func (p *Plan) ChooseContext(proc *guest.Processor, mode ContextMode) cpuPlan {
	c := cpuPlan{proc: proc, Source: report.FromSaved, Context: proc.Saved}
	if proc.Err != nil || proc.Saved == nil {
		return cpuPlan{proc: proc, Source: report.FromNone, Note: fmt.Sprintf("left out: %v", proc.SavedErr)}
	}
	if proc.State == nil {
		c.Note = "no vCPU state in the source, what Windows last saved is kept"
		return c
	}
	vcpu := proc.State.Context
	c.differs = proc.Saved.IP() != vcpu.IP() || proc.Saved.SP() != vcpu.SP()
	if mode == ContextsAuto && proc.Saved.Plausible() == nil && proc.Saved.Same(vcpu, proc.State.Carries) {
		c.Note = "the vCPU's registers are those in the guest's memory, which has more of them"
		return c
	}
	useVCPU, why := p.preferVCPU(proc, mode)
	c.Note = why
	if useVCPU {
		c.Source, c.Context = report.FromVCPU, vcpu
	}
	return c
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
	if _, err := g.Memory.Space.Translate(vtop.VA(c.SP())); err != nil {
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
	sets := p.Guest.Machine().Lacking
	counts := make([]int, len(sets))
	for _, c := range p.cpus {
		if c.Source != report.FromVCPU {
			continue
		}
		for i, l := range sets {
			if c.proc.State.Carries&l.Set == 0 {
				counts[i]++
				break // the largest set comes first
			}
		}
	}
	for i, l := range sets {
		if counts[i] > 0 {
			p.Add(finding.RegistersLacking.At("",
				"the source carries no %s registers: of %d processors they show the values after reset (%s, the rest 0)", l.Names, counts[i], l.Values))
		}
	}
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
	if p.mode == ContextsSaved || c.proc.State == nil || !c.proc.State.HasSystem {
		return false
	}
	sr := c.proc.Specials
	if sr == nil || sr.Root() == 0 {
		return true
	}
	_, err := p.Guest.Memory.Space.Translate(sr.CodeTable().Base)
	return err != nil
}

// editSpecials sets the special registers of a processor that the source carries.
func (p *Plan) editSpecials(c *cpuPlan) {
	if !c.proc.State.HasSystem {
		return
	}
	if c.proc.SpecialRegisters == 0 || c.proc.Specials == nil {
		p.Add(finding.SpecialsUnread.At("VA "+c.proc.SpecialRegisters.String(), "processor %d: the special registers in its PRCB are not readable", c.proc.Index))
		return
	}
	for _, e := range p.Guest.Machine().Kernel.Specials.Edits(c.proc.State.Specials) {
		p.edit(c.proc.SpecialRegisters+e.Offset, e.Bytes, fmt.Sprintf("processor %d: %s", c.proc.Index, e.What))
	}
}
