package processor

import (
	"bytes"
	"fmt"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/kdbg"
	"windmp/vtop"
)

// Known is what is known of a guest when its vCPUs are looked at.
type Known struct {
	View    *search.View
	Machine *machine.Machine
	Kernel  *kdbg.Kernel
	// RootFound says that the kernel's page tables were found in memory: no header of
	// the guest's names them.
	RootFound bool
	// Findings gets what is to be said.
	Findings *finding.List
}

// Pair gives each processor of list the vCPU that proves to run it. Where a vCPU stands
// in the source proves nothing: any may be in a hypervisor, another guest, firmware or
// system management mode, or may have been reset. cpus are what the vCPUs say, in the
// order of the source.
func Pair(known Known, list []Processor, cpus []machine.State) {
	g := pairing{Known: known, list: list, cpus: cpus}
	g.pair()
}

// pairing are processors and vCPUs while they are matched.
type pairing struct {
	Known
	list []Processor
	cpus []machine.State
}

// maxForeign bounds the vCPUs of which it is said one by one what else they did.
const maxForeign = 16

// pair pairs by what proves it, then by the order of the source, and says what is left.
func (g *pairing) pair() {
	if len(g.cpus) == 0 {
		g.Findings.Add(finding.NoVCPUState.At("", "the source holds no vCPU registers"))
		return
	}
	left, reordered := g.pairProved()
	if reordered {
		g.Findings.Add(finding.VCPUOrder.At("", "the vCPUs are not in the order of KiProcessorBlock; they were matched by the address of the KPCR or by the descriptor tables"))
	}
	g.reportUnpaired(g.pairInOrder(left))
	g.confirmRoot()
	g.checkMoments()
}

// confirmRoot says whether page tables that no register of the source names, and that
// were found in memory, are those that Windows itself saved of processors: as it does
// when it crashes.
func (g *pairing) confirmRoot() {
	if !g.RootFound || slices.ContainsFunc(g.cpus, func(s machine.State) bool { return s.HasSystem }) {
		return
	}
	saved, same := 0, 0
	for i := range g.list {
		if s := g.list[i].Specials; s != nil && s.Root() != 0 {
			saved++
			if g.mapsThisKernel(g.View.Space(s.UpperRoot(), g.Kernel.Memory.Space.Mode).At(s.Root())) {
				same++
			}
		}
	}
	if same > 0 {
		g.Findings.Add(finding.RootConfirmed.At("", "%s, as Windows saved it of %d of %d processors, leads to the kernel that was found", g.Machine.RootName, same, saved))
	}
}

// pairProved gives each processor the vCPU that proves most to run it, and returns the
// vCPUs that are left. A register may be left of another time, such as the base that
// SWAPGS would bring, so that a vCPU with all of them is believed before one with some.
// Of two that prove as much, one lies, and nothing says which.
func (g *pairing) pairProved() (left []int, reordered bool) {
	owners := g.Kernel.Memory.Owners(g.bare())
	best := make([]struct{ vcpu, proofs, tied int }, len(g.list))
	for j := range g.cpus {
		i, proofs := owners.Of(g.cpus[j].Kernel, g.runsHere(&g.cpus[j]))
		if proofs == 0 || g.cpus[j].Context == nil {
			continue
		}
		switch b := &best[i]; {
		case proofs > b.proofs:
			b.vcpu, b.proofs, b.tied = j, proofs, 0
		case proofs == b.proofs && !bytes.Equal(g.cpus[j].Context.Encode(), g.cpus[b.vcpu].Context.Encode()):
			b.tied = j // and not the same one twice
		}
	}
	paired := map[int]bool{}
	for i, b := range best {
		switch {
		case b.proofs == 0:
		case b.tied > 0:
			g.Findings.Add(finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved.").At("VA "+g.list[i].PRCB.String(),
				"vCPU %d and vCPU %d have the registers of processor %d alike: neither is taken for it", b.vcpu, b.tied, i))
		default:
			g.list[i].VCPU, g.list[i].State = b.vcpu, &g.cpus[b.vcpu]
			paired[b.vcpu] = true
			reordered = reordered || i != b.vcpu
		}
	}
	for j := range g.cpus {
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
func (g *pairing) pairInOrder(left []int) []int {
	if g.Machine.Proves || slices.ContainsFunc(g.cpus, func(s machine.State) bool { return s.HasSystem }) {
		return left
	}
	var still []int
	for _, j := range left {
		if j >= len(g.list) || g.list[j].State != nil || g.list[j].PRCB == 0 || !g.canBeHere(&g.cpus[j]) {
			still = append(still, j)
			continue
		}
		g.list[j].VCPU, g.list[j].State = j, &g.cpus[j]
	}
	if n := len(left) - len(still); n > 0 {
		g.Findings.Add(finding.VCPUUnproved.At("", "the source carries no system registers: %d of %d vCPUs are taken for processors in the order of the source, as nothing else says which they run", n, len(g.cpus)))
	}
	return still
}

// canBeHere tells whether a vCPU's CONTEXT can be of this guest: its addresses in the
// kernel's half are mapped.
func (g *pairing) canBeHere(s *machine.State) bool {
	if s.Context == nil || s.Context.PlausibleSaved() != nil {
		return false
	}
	for _, va := range []vtop.VA{vtop.VA(s.Context.IP()), vtop.VA(s.Context.SP())} {
		if !g.Kernel.Memory.IsKernel(va) {
			continue
		}
		if _, err := g.Kernel.Memory.Space.Translate(va); err != nil && !tableAbsent(err) {
			return false
		}
	}
	return true
}

// bare are the processors as package kdbg knows them.
func (g *pairing) bare() []kdbg.Processor {
	list := make([]kdbg.Processor, 0, len(g.list))
	for i := range g.list {
		list = append(list, g.list[i].Processor)
	}
	return list
}

// runsHere tells of an address that a vCPU's registers hold whether it is this guest's:
// whether the vCPU's own page tables have there what the kernel's have. Firmware, and
// a hypervisor that a guest exits to, find some registers as Windows left them, but
// not by its page tables. Without system registers there is nothing to doubt by.
func (g *pairing) runsHere(s *machine.State) func(va vtop.VA) bool {
	if !s.HasSystem {
		return func(vtop.VA) bool { return true }
	}
	if !s.Paged {
		return func(vtop.VA) bool { return false }
	}
	own, kernel := s.Space(g.View), g.Kernel.Memory.Space
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
func (g *pairing) reportUnpaired(left []int) {
	for i := range g.list {
		p := &g.list[i]
		p.Foreign = p.State == nil && p.Err == nil && len(left) > 0
	}
	outside := g.reportElsewhere(left)
	if n := len(left) - outside; n > 0 {
		g.Findings.Add(finding.VCPUUnmatched.WithAdvice("Their registers are not in the dump.").At("",
			"%d of %d vCPUs in the source can't be matched with any of the processors that the dump counts (%d)", n, len(g.cpus), len(g.list)))
	}
	if len(left) == len(g.cpus) && outside > 0 {
		g.Findings.Add(finding.NoneInWindows.At("", "none of the %d vCPUs is known to run this Windows: the memory may be what is left of it after a reset", len(g.cpus)))
	}
	g.reportLone()
}

// reportLone says which processors have no vCPU, where no vCPU is left that may be one.
func (g *pairing) reportLone() {
	kind, lone := finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved."), 0
	for i := range g.list {
		if p := &g.list[i]; p.State == nil && p.Err == nil && !p.Foreign {
			if lone++; lone <= maxForeign {
				g.Findings.Add(kind.At("VA "+p.PRCB.String(), "processor %d has no vCPU in the source", p.Index))
			}
		}
	}
	if lone > maxForeign {
		g.Findings.Add(kind.At("", "so it is with %d further processors", lone-maxForeign))
	}
}

// stoppedAt is where a vCPU stopped, and by which page tables, if by any.
func stoppedAt(s *machine.State) string {
	at := fmt.Sprintf("its next instruction is at %s", s.Kernel.IP)
	if s.Paged {
		at += fmt.Sprintf(", the root of its page tables at %#x", uint64(s.Mode.Root(s.Root)))
	}
	return at
}

// reportElsewhere says of each vCPU that is left what it did instead of running this
// guest, and returns how many did something else. A machine may have more vCPUs than
// its Windows uses: where no processor lacks one, they are not missed.
func (g *pairing) reportElsewhere(left []int) (outside int) {
	kind := finding.VCPUSpare
	if slices.ContainsFunc(g.list, func(p Processor) bool { return p.Foreign }) {
		kind = finding.VCPUForeign
	}
	for _, j := range left {
		what, known := g.elsewhere(&g.cpus[j], outside < maxForeign)
		if !known {
			continue
		}
		if outside++; outside <= maxForeign {
			g.Findings.Add(kind.At("", "vCPU %d %s: nothing of its registers is in the dump", j, what).Because(stoppedAt(&g.cpus[j])))
		}
	}
	if outside > maxForeign {
		g.Findings.Add(kind.At("", "so it is with %d further vCPUs", outside-maxForeign))
	}
	return outside
}
