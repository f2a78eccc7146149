package guest

import (
	"errors"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/vtop"
)

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
	var left []int // vCPUs without a processor
	reordered := false
	owners := g.Memory.Owners(g.bare())
	cache := newPageCache(g.reader())
	for j := range cpus {
		i, ok := owners.Of(cpus[j].Kernel, g.runsHere(&cpus[j], cache))
		if !ok || cpus[j].Context == nil || g.Processors[i].State != nil {
			left = append(left, j)
			continue
		}
		p := &g.Processors[i]
		p.VCPU, p.State = j, &cpus[j]
		reordered = reordered || i != j
	}
	if reordered {
		g.Add(finding.VCPUOrder.At("", "the vCPUs are not in the order of KiProcessorBlock; they were matched by the address of the KPCR or by the descriptor tables"))
	}
	g.reportUnpaired(cpus, left, cache)
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
func (g *finder) runsHere(s *machine.State, cache *pageCache) func(va vtop.VA) bool {
	if !s.HasSystem {
		return func(vtop.VA) bool { return true }
	}
	if !s.Paged {
		return func(vtop.VA) bool { return false }
	}
	own := cache.space(s.Root, s.Mode)
	kernel := cache.space(uint64(g.Memory.Space.DTB), g.Memory.Space.Mode)
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
func tableAbsent(err error) bool {
	var fault *vtop.FaultError
	return errors.As(err, &fault) && fault.Kind == vtop.TableUnreadable
}

// reportUnpaired says what the vCPUs did that are no processor's, and which processors
// have none.
func (g *finder) reportUnpaired(cpus []machine.State, left []int, cache *pageCache) {
	outside, unproved := 0, 0
	for _, j := range left {
		what, known := g.elsewhere(&cpus[j], cache, outside < maxSeen)
		if !known {
			unproved++
			continue
		}
		if outside++; outside <= maxSeen {
			g.Add(finding.VCPUForeign.At("", "vCPU %d %s: nothing of its registers is in the dump", j, what))
		}
	}
	if outside > maxSeen {
		g.Add(finding.VCPUForeign.At("", "so it is with %d further vCPUs", outside-maxSeen))
	}
	g.reportUnproved(cpus, unproved)
	if len(left) == len(cpus) && outside > 0 {
		g.Add(finding.NoneInWindows.At("", "none of the %d vCPUs is known to run this Windows: the memory may be what is left of it after a reset", len(cpus)))
	}
	for i := range g.Processors {
		p := &g.Processors[i]
		if p.State != nil || p.Err != nil {
			continue
		}
		if p.Foreign = len(left) > 0; !p.Foreign {
			g.Add(finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved.").At("VA "+p.PRCB.String(),
				"processor %d has no vCPU in the source", p.Index))
		}
	}
}

// reportUnproved is about vCPUs that may run this guest, but on which processor
// nothing says.
func (g *finder) reportUnproved(cpus []machine.State, n int) {
	if n == 0 {
		return
	}
	f := finding.VCPUUnmatched.WithAdvice("Their registers are not in the dump.")
	without := 0
	for i := range cpus {
		if !cpus[i].HasSystem {
			without++
		}
	}
	if without > 0 {
		f = finding.VCPUUnproved
	}
	g.Add(f.At("", "the source has %d vCPUs, the dump counts %d processors: %d vCPUs are left out, of which nothing says which processor they run",
		len(cpus), len(g.Processors), n))
}
