package guest

import (
	"bytes"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/vtop"
)

// maxForeign bounds the vCPUs of which it is said one by one what else they did.
const maxForeign = 16

// pairVCPUs gives each processor the vCPU that proves to run it. Where a vCPU stands
// in the source proves nothing: any may be in a hypervisor, another guest, firmware or
// system management mode, or may have been reset.
func (g *finder) pairVCPUs() {
	if g.Image.DumpHeader() != nil {
		return // its registers are in the memory
	}
	cpus := g.states()
	if len(cpus) == 0 {
		g.Add(finding.NoVCPUState.At("", "the source holds no vCPU registers"))
		return
	}
	left, reordered := g.pairProved(cpus)
	if reordered {
		g.Add(finding.VCPUOrder.At("", "the vCPUs are not in the order of KiProcessorBlock; they were matched by the address of the KPCR or by the descriptor tables"))
	}
	g.reportUnpaired(cpus, g.pairInOrder(cpus, left))
	g.confirmRoot(cpus)
	g.checkMoments()
}

// confirmRoot says whether page tables that no register of the source names, and that
// were found in memory, are those that Windows itself saved of processors: as it does
// when it crashes.
func (g *finder) confirmRoot(cpus []machine.State) {
	if !g.Built || slices.ContainsFunc(cpus, func(s machine.State) bool { return s.HasSystem }) {
		return
	}
	saved, same := 0, 0
	for i := range g.Processors {
		if s := g.Processors[i].Specials; s != nil && s.Root() != 0 {
			saved++
			if g.mapsThisKernel(g.Space(s.Root(), g.Memory.Space.Mode)) {
				same++
			}
		}
	}
	if same > 0 {
		g.Add(finding.RootConfirmed.At("", "%s, as Windows saved it of %d of %d processors, leads to the kernel that was found", g.machine.RootName, same, saved))
	}
}

// pairProved gives each processor the vCPU that proves most to run it, and returns the
// vCPUs that are left. A register may be left of another time, such as the base that
// SWAPGS would bring, so that a vCPU with all of them is believed before one with some.
// Of two that prove as much, one lies, and nothing says which.
func (g *finder) pairProved(cpus []machine.State) (left []int, reordered bool) {
	owners := g.Memory.Owners(g.bare())
	best := make([]struct{ vcpu, proofs, tied int }, len(g.Processors))
	for j := range cpus {
		i, proofs := owners.Of(cpus[j].Kernel, g.runsHere(&cpus[j]))
		if proofs == 0 || cpus[j].Context == nil {
			continue
		}
		switch b := &best[i]; {
		case proofs > b.proofs:
			b.vcpu, b.proofs, b.tied = j, proofs, 0
		case proofs == b.proofs && !bytes.Equal(cpus[j].Context.Encode(), cpus[b.vcpu].Context.Encode()):
			b.tied = j // and not the same one twice
		}
	}
	paired := map[int]bool{}
	for i, b := range best {
		switch {
		case b.proofs == 0:
		case b.tied > 0:
			g.Add(finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved.").At("VA "+g.Processors[i].PRCB.String(),
				"vCPU %d and vCPU %d have the registers of processor %d alike: neither is taken for it", b.vcpu, b.tied, i))
		default:
			g.Processors[i].VCPU, g.Processors[i].State = b.vcpu, &cpus[b.vcpu]
			paired[b.vcpu] = true
			reordered = reordered || i != b.vcpu
		}
	}
	for j := range cpus {
		if !paired[j] {
			left = append(left, j)
		}
	}
	return left, reordered
}

// pairInOrder pairs the vCPUs of a source that carries no system registers at all, in
// the order of the source, and returns those that are left. What the source says is
// the last to be believed: it fills what nothing else says, and what Windows saved at
// a crash stays before it. A vCPU that can't have been in this Windows is left, and so
// are those of a machine on which they prove what they run.
func (g *finder) pairInOrder(cpus []machine.State, left []int) []int {
	if g.machine.Proves || slices.ContainsFunc(cpus, func(s machine.State) bool { return s.HasSystem }) {
		return left
	}
	var still []int
	for _, j := range left {
		if j >= len(g.Processors) || g.Processors[j].State != nil || g.Processors[j].PRCB == 0 || !g.canBeHere(&cpus[j]) {
			still = append(still, j)
			continue
		}
		g.Processors[j].VCPU, g.Processors[j].State = j, &cpus[j]
	}
	if n := len(left) - len(still); n > 0 {
		g.Add(finding.VCPUUnproved.At("", "the source carries no system registers: %d of %d vCPUs are taken for processors in the order of the source, as nothing else says which they run", n, len(cpus)))
	}
	return still
}

// canBeHere tells whether a vCPU's CONTEXT can be of this guest: its addresses in the
// kernel's half are mapped.
func (g *finder) canBeHere(s *machine.State) bool {
	if s.Context == nil || s.Context.PlausibleSaved() != nil {
		return false
	}
	for _, va := range []vtop.VA{vtop.VA(s.Context.IP()), vtop.VA(s.Context.SP())} {
		if !g.Memory.IsKernel(va) {
			continue
		}
		if _, err := g.Memory.Space.Translate(va); err != nil && !tableAbsent(err) {
			return false
		}
	}
	return true
}

// bare are the processors as package kdbg knows them.
func (g *finder) bare() []kdbg.Processor {
	list := make([]kdbg.Processor, 0, len(g.Processors))
	for i := range g.Processors {
		list = append(list, g.Processors[i].Processor)
	}
	return list
}

// runsHere tells of an address that a vCPU's registers hold whether it is this guest's:
// whether the vCPU's own page tables have there what the kernel's have. Firmware, and
// a hypervisor that a guest exits to, find some registers as Windows left them, but
// not by its page tables. Without system registers there is nothing to doubt by.
func (g *finder) runsHere(s *machine.State) func(va vtop.VA) bool {
	if !s.HasSystem {
		return func(vtop.VA) bool { return true }
	}
	if !s.Paged {
		return func(vtop.VA) bool { return false }
	}
	own := g.Space(s.Root, s.Mode)
	kernel := g.Space(uint64(g.Memory.Space.DTB), g.Memory.Space.Mode)
	return func(va vtop.VA) bool {
		got, err := own.Translate(va)
		if tableAbsent(err) {
			return true // the source does not tell
		}
		want, werr := kernel.Translate(va)
		return tableAbsent(werr) || err == nil && werr == nil && got.PA == want.PA
	}
}

// tableAbsent tells whether a page table is not in the source, so that nothing is known
// of what it maps.
func tableAbsent(err error) bool { return vtop.Faulted(err, vtop.TableUnreadable) }

// reportUnpaired says what the vCPUs did that are no processor's, and which processors
// have none.
func (g *finder) reportUnpaired(cpus []machine.State, left []int) {
	for i := range g.Processors {
		p := &g.Processors[i]
		p.Foreign = p.State == nil && p.Err == nil && len(left) > 0
	}
	outside := g.reportElsewhere(cpus, left)
	if n := len(left) - outside; n > 0 {
		g.Add(finding.VCPUUnmatched.WithAdvice("Their registers are not in the dump.").At("",
			"%d of %d vCPUs in the source can't be matched with any of the processors that the dump counts (%d)", n, len(cpus), len(g.Processors)))
	}
	if len(left) == len(cpus) && outside > 0 {
		g.Add(finding.NoneInWindows.At("", "none of the %d vCPUs is known to run this Windows: the memory may be what is left of it after a reset", len(cpus)))
	}
	g.reportLone()
}

// reportLone says which processors have no vCPU, where no vCPU is left that may be one.
func (g *finder) reportLone() {
	kind, lone := finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved."), 0
	for i := range g.Processors {
		if p := &g.Processors[i]; p.State == nil && p.Err == nil && !p.Foreign {
			if lone++; lone <= maxForeign {
				g.Add(kind.At("VA "+p.PRCB.String(), "processor %d has no vCPU in the source", p.Index))
			}
		}
	}
	if lone > maxForeign {
		g.Add(kind.At("", "so it is with %d further processors", lone-maxForeign))
	}
}

// reportElsewhere says of each vCPU that is left what it did instead of running this
// guest, and returns how many did something else. A machine may have more vCPUs than
// its Windows uses: where no processor lacks one, they are not missed.
func (g *finder) reportElsewhere(cpus []machine.State, left []int) (outside int) {
	kind := finding.VCPUSpare
	if slices.ContainsFunc(g.Processors, func(p Processor) bool { return p.Foreign }) {
		kind = finding.VCPUForeign
	}
	for _, j := range left {
		what, known := g.elsewhere(&cpus[j], outside < maxForeign)
		if !known {
			continue
		}
		if outside++; outside <= maxForeign {
			g.Add(kind.At("", "vCPU %d %s: nothing of its registers is in the dump", j, what))
		}
	}
	if outside > maxForeign {
		g.Add(kind.At("", "so it is with %d further vCPUs", outside-maxForeign))
	}
	return outside
}
