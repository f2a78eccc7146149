package plan

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/processor"
	"windmp/convert/report"
	"windmp/internal/binio"
	"windmp/vtop"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// CPU is whose registers the output shows of a processor.
type CPU struct {
	processor.Processor
	Source report.ContextSource
	// Context is what the dump shows; nil when nothing is readable. Root is the
	// register that holds the root of the page tables, 0 when it is not known.
	Context wincontext.Context
	Root    uint64
	// Note says why this source, for the report.
	Note string
	// Differs is set when both are known and show another instruction or stack
	// pointer.
	Differs bool
	// invalid is why the CONTEXT that Windows saved is not believed, nil where it is.
	invalid error
}

// clone returns a copy, with which c shares nothing.
func (c *CPU) clone() CPU {
	out := *c
	out.Processor = c.Processor.Clone()
	if c.Context != nil {
		out.Context = c.Context.Clone()
	}
	return out
}

// Contexts decides for each processor of a guest whose registers are shown.
func Contexts(g *guest.Guest, mode ContextMode) []CPU {
	processors := g.Processors()
	list := make([]CPU, 0, len(processors))
	for _, proc := range processors {
		list = append(list, choose(g, proc, mode))
	}
	return list
}

// chooseContexts decides for each processor whose registers the dump shows.
func (p *Plan) chooseContexts(mode ContextMode) {
	p.cpus = Contexts(p.guest, mode)
	for i := range p.cpus {
		c := &p.cpus[i]
		if mode == ContextsAuto && guest.Crashed(p.guest) && c.Source == report.FromVCPU {
			p.found.Add(finding.SavedInvalid.At("VA "+c.Processor.Context.String(), "processor %d: %s", c.Index, c.Note).Because(c.invalid))
		}
	}
	p.reportLackingRegisters()
}

// noteSaved is about a CONTEXT of a crashed guest.
const noteSaved = "saved by Windows at the bug check"

func choose(g *guest.Guest, proc processor.Processor, mode ContextMode) CPU {
	c := CPU{Processor: proc, Source: report.FromSaved, Context: proc.Saved}
	if proc.Specials != nil {
		c.Root = proc.Specials.Root()
	}
	if proc.Err != nil || proc.Saved == nil {
		return CPU{Processor: proc, Source: report.FromNone, Note: fmt.Sprintf("left out: %v", proc.SavedErr)}
	}
	if proc.Foreign {
		if guest.Crashed(g) && validSaved(g, &proc) == nil {
			c.Note = noteSaved
			return c
		}
		c.Source = report.FromForeign
		c.Note = "no vCPU is known to run this Windows on it, what Windows last saved is kept"
		return c
	}
	if proc.State == nil {
		c.Note = "no vCPU state in the source, what Windows last saved is kept"
		return c
	}
	vcpu := proc.State.Context
	c.Differs = proc.Saved.IP() != vcpu.IP() || proc.Saved.SP() != vcpu.SP()
	if mode == ContextsAuto && proc.Saved.Plausible() == nil && proc.Saved.Same(vcpu, proc.State.Carries) {
		c.Note = "the vCPU's registers are those in the guest's memory, which has more of them"
		return c
	}
	useVCPU, why, invalid := preferVCPU(g, proc, mode)
	c.Note, c.invalid = why, invalid
	if useVCPU {
		c.Source, c.Context, c.Root = report.FromVCPU, vcpu, proc.State.Root
	}
	return c
}

// preferVCPU applies the mode to one processor that has both.
func preferVCPU(g *guest.Guest, proc processor.Processor, mode ContextMode) (use bool, why string, invalid error) {
	switch {
	case mode == ContextsVCPU:
		return true, "asked for", nil
	case mode == ContextsSaved:
		return false, "asked for", nil
	case g.BugCheck() == nil:
		return true, "it is not known whether the guest had crashed: the vCPU's state is what was running", nil
	case !guest.Crashed(g):
		return true, "the guest was live: its saved context is stale", nil
	case proc.State.HasSystem && !proc.State.InKernel:
		// Windows stops processors in its own code, where they stay.
		return true, "the bug check had not stopped it yet, its vCPU ran code of a process: its saved context is stale", nil
	}
	if err := validSaved(g, &proc); err != nil {
		return true, fmt.Sprintf("the saved context is not valid (%s), the vCPU's is used", saidOf(err)), err
	}
	return false, noteSaved, nil
}

// invalidError says why a saved CONTEXT is not believed.
type invalidError struct {
	said string // in words
	err  error
}

func (e *invalidError) Error() string { return e.said + ": " + e.err.Error() }
func (e *invalidError) Unwrap() error { return e.err }

// saidOf is why a saved CONTEXT is not valid, in words.
func saidOf(err error) string {
	var invalid *invalidError
	var wrong problem.Problem
	switch {
	case errors.As(err, &invalid):
		return invalid.said
	case errors.As(err, &wrong):
		return wrong.Sentence()
	}
	return err.Error()
}

// validSaved checks a saved CONTEXT as far as the guest's own structures allow. The
// processors that Windows froze were wherever they were: in a process, in a driver that
// no list has, in code that was made as it ran. Only where the kernel's half has nothing
// can none have been.
func validSaved(g *guest.Guest, proc *processor.Processor) error {
	c := proc.Saved
	if err := c.PlausibleSaved(); err != nil {
		return err
	}
	if err := mappedFor(g, proc, vtop.VA(c.IP())); err != nil && !guest.InModule(g, vtop.VA(c.IP())) {
		return &invalidError{"the instruction pointer is in no loaded image", err}
	}
	if err := mappedFor(g, proc, vtop.VA(c.SP())); err != nil {
		return &invalidError{"the stack pointer leads nowhere", err}
	}
	return nil
}

// mappedFor checks that an address of the kernel's half is mapped for a processor: by
// the System process' page tables, or by those that it ran on, which a session's
// memory is in alone. It is nil where that is not known, as of a process' addresses.
func mappedFor(g *guest.Guest, proc *processor.Processor, va vtop.VA) error {
	if !g.Machine().Kernel.IsKernel(va) {
		return nil
	}
	_, err := g.Memory().Space.Translate(va)
	if err != nil && proc.Specials != nil && proc.Specials.Root() != 0 {
		if _, own := g.Memory().Space.At(proc.Specials.Root()).Translate(va); own == nil {
			return nil
		}
	}
	if vtop.Faulted(err, vtop.TableUnreadable) {
		return nil
	}
	return err
}

// reportLackingRegisters says once what the state of the vCPUs that are shown
// does not carry.
func (p *Plan) reportLackingRegisters() {
	sets := p.guest.Machine().Lacking
	counts := make([]int, len(sets))
	for _, c := range p.cpus {
		if c.Source != report.FromVCPU {
			continue
		}
		for i, l := range sets {
			if c.State.Carries&l.Set == 0 {
				counts[i]++
				break // the largest set comes first
			}
		}
	}
	for i, l := range sets {
		if counts[i] > 0 {
			p.found.Add(finding.RegistersLacking.At("",
				"the source carries no %s registers: of %s they show the values after reset", l.Names, binio.Plural(counts[i], "processor")).Because(l.Values + ", the rest 0"))
		}
	}
}

// editContexts plans the writes into the guest's memory: the CONTEXT that
// WinDbg shows, and the special registers beside it.
func (p *Plan) editContexts(mode ContextMode) {
	for i := range p.cpus {
		c := &p.cpus[i]
		if c.Source == report.FromVCPU {
			p.edit(c.Processor.Context, c.Context.Encode(), fmt.Sprintf("processor %d: CONTEXT of the vCPU", c.Index))
		}
		if c.Source == report.FromVCPU || (c.Source == report.FromSaved && p.specialsUnusable(c, mode)) {
			p.editSpecials(c)
		}
	}
}

// specialsUnusable tells whether the special registers beside a saved CONTEXT
// were never filled: then the engine can't look up its code segment.
func (p *Plan) specialsUnusable(c *CPU, mode ContextMode) bool {
	if mode == ContextsSaved || c.State == nil || !c.State.HasSystem {
		return false
	}
	sr := c.Specials
	if sr == nil || sr.Root() == 0 {
		return true
	}
	if p.guest.Machine().Kernel.Tables.Segment == nil {
		return false // the machine has no such table
	}
	_, err := p.guest.Memory().Space.Translate(sr.CodeTable().Base)
	return err != nil
}

// editSpecials sets the special registers of a processor that the source carries.
func (p *Plan) editSpecials(c *CPU) {
	if !c.State.HasSystem {
		return
	}
	if c.SpecialRegisters == 0 || c.Specials == nil {
		p.found.Add(finding.SpecialsUnread.At("VA "+c.SpecialRegisters.String(), "processor %d: the special registers in its PRCB are not readable", c.Index))
		return
	}
	for _, e := range p.guest.Machine().Kernel.Specials.Edits(c.State.Specials) {
		p.edit(c.SpecialRegisters+e.Offset, e.Bytes, fmt.Sprintf("processor %d: %s", c.Index, e.What))
	}
}
