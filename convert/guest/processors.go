package guest

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr"
)

// Processor is one of the guest's processors with the structures that WinDbg
// reads and the vCPU that it is.
type Processor struct {
	kdbg.Processor
	// VCPU is the position, in the source, of the vCPU that it is, -1 for none; State
	// is what that says.
	VCPU  int
	State *machine.State
	// Saved is the CONTEXT that lies in the guest's memory, nil when unreadable.
	Saved winhdr.Context
	// SavedErr says why Saved is nil.
	SavedErr error
	// Specials are the special registers in the PRCB, nil when unreadable.
	Specials kdbg.Specials
}

// readProcessors walks KiProcessorBlock, settles how many processors the dump
// counts, and pairs them with the vCPUs.
func (g *finder) readProcessors() error {
	claimed := g.claimedProcessors()
	list, err := g.Kernel.Processors(claimed)
	if err != nil {
		return g.Refuse(finding.NoProcessors.WithAdvice("WinDbg rejects a dump without it. Dump the guest again with all of its memory.").At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(), "KiProcessorBlock is not readable: %v", err), err)
	}
	n := countProcessors(list)
	if n == 0 {
		return g.Refuse(finding.NoProcessors.At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(),
			"no processor has usable structures: %s", processorProblems(list)), nil)
	}
	g.lowerNumberProcessors(claimed, n, list)
	for _, p := range list[:n] {
		if p.Err != nil {
			g.Add(finding.ProcessorLeftOut.WithAdvice("WinDbg will show no registers for it.").At("VA "+p.PRCB.String(), "processor %d is left out: %v", p.Index, p.Err))
		}
		g.Processors = append(g.Processors, g.readSaved(p))
	}
	g.pairVCPUs()
	return nil
}

// claimedProcessors is the header's count, or the number of vCPUs where the
// header's can't be right.
func (g *finder) claimedProcessors() int {
	claimed := g.Header.NumberProcessors
	if claimed >= 1 && int64(claimed) <= int64(g.Header.Format().MaxProcessors) {
		return int(claimed)
	}
	return min(max(len(g.Image.CPUs()), 1), g.Header.Format().MaxProcessors)
}

// countProcessors is how many entries the dump may count: up to the last
// usable processor before the first null entry, since the engine rejects a
// dump with a null entry and shows no registers of an unusable processor.
func countProcessors(list []kdbg.Processor) int {
	n := 0
	for i, p := range list {
		if errors.Is(p.Err, kdbg.ErrNullPRCB) {
			break
		}
		if p.Err == nil {
			n = i + 1
		}
	}
	return n
}

// processorProblems joins what is wrong with each processor.
func processorProblems(list []kdbg.Processor) string {
	var errs []error
	for _, p := range list {
		if p.Err != nil {
			errs = append(errs, fmt.Errorf("processor %d: %w", p.Index, p.Err))
		}
	}
	return errors.Join(errs...).Error()
}

// lowerNumberProcessors writes the count that the engine accepts.
func (g *finder) lowerNumberProcessors(claimed, n int, list []kdbg.Processor) {
	was := g.Header.NumberProcessors
	if int64(was) == int64(n) {
		return
	}
	g.Header.NumberProcessors = uint32(n) //nolint:gosec // n <= winhdr.MaxProcessors
	reason := fmt.Sprintf("only %d of %d KiProcessorBlock entries are usable, the engine rejects a dump that counts more", n, claimed)
	g.because("NumberProcessors", reason)
	g.Add(finding.ProcessorsFewer.At(HeaderOffset(g.Header.Offset("NumberProcessors")), "NumberProcessors %d is written as %d: %s", was, n, reason))
	for _, p := range list[n:] {
		if p.Err != nil {
			g.Add(finding.ProcessorLeftOut.At("", "processor %d is left out: %v", p.Index, p.Err))
		} else {
			g.Add(finding.ProcessorLeftOut.At("", "processor %d is left out: it stands behind a null entry", p.Index))
		}
	}
}

// readSaved reads what memory holds of a processor's registers.
func (g *finder) readSaved(p kdbg.Processor) Processor {
	out := Processor{Processor: p, VCPU: -1, SavedErr: p.Err}
	if p.Err != nil {
		return out
	}
	buf := make([]byte, g.machine.Header.Registers.Size())
	if _, err := g.Memory.Space.ReadVirtual(buf, p.Context); err != nil {
		out.SavedErr = fmt.Errorf("CONTEXT: %w", err)
	} else if out.Saved, err = g.machine.Header.DecodeContext(buf); err != nil {
		out.SavedErr = err
	}
	if sr, err := g.Memory.SpecialRegisters(p.SpecialRegisters); err == nil {
		out.Specials = sr
	}
	return out
}

// pairVCPUs gives each processor its vCPU: by the KPCR that the vCPU's kernel
// GS base (of a 32-bit guest, FS base) points at, and by position where none fits.
func (g *finder) pairVCPUs() {
	cpus := g.states()
	if g.Image.DumpHeader() != nil {
		return // its registers are in the memory
	}
	if len(cpus) == 0 {
		g.Add(finding.NoVCPUState.At("", "the source holds no vCPU registers"))
		return
	}
	taken := make([]bool, len(cpus))
	reordered := g.pairByPCR(cpus, taken)
	byPosition := g.pairByPosition(cpus, taken)
	if reordered {
		g.Add(finding.VCPUOrder.At("", "the vCPUs are not in the order of KiProcessorBlock; they were matched by the address of the KPCR"))
	}
	if byPosition > 0 {
		g.Add(finding.VCPUUnmatched.At("", "%d vCPUs were matched by position: their GS or FS base is no processor's KPCR", byPosition))
	}
	g.reportUnpaired(taken)
}

// pairByPCR pairs by KPCR address, and tells whether any pair is out of order.
func (g *finder) pairByPCR(cpus []machine.State, taken []bool) (reordered bool) {
	at := make(map[vtop.VA]int, len(cpus))
	for i := range cpus {
		at[g.Memory.PCR(cpus[i].Kernel)] = i
	}
	for i := range g.Processors {
		p := &g.Processors[i]
		j, ok := at[p.PCR]
		if !ok || taken[j] || p.PRCB == 0 {
			continue
		}
		taken[j] = true
		p.VCPU, p.State = j, &cpus[j]
		reordered = reordered || i != j
	}
	return reordered
}

// pairByPosition pairs what is left, and counts it.
func (g *finder) pairByPosition(cpus []machine.State, taken []bool) (n int) {
	for i := range g.Processors {
		p := &g.Processors[i]
		if p.State != nil || p.PRCB == 0 || i >= len(cpus) || taken[i] || cpus[i].Context == nil {
			continue
		}
		taken[i] = true
		p.VCPU, p.State = i, &cpus[i]
		n++
	}
	return n
}

// reportUnpaired names counts that do not agree.
func (g *finder) reportUnpaired(taken []bool) {
	extra := 0
	for _, t := range taken {
		if !t {
			extra++
		}
	}
	if extra > 0 {
		g.Add(finding.VCPUUnmatched.WithAdvice("Their registers are not in the dump.").At("",
			"the source has %d vCPUs, the dump counts %d processors: %d vCPUs are left out", len(taken), len(g.Processors), extra))
	}
	for _, p := range g.Processors {
		if p.State == nil && p.Err == nil {
			g.Add(finding.VCPUUnmatched.WithAdvice("It keeps the registers that Windows last saved.").At("VA "+p.PRCB.String(),
				"processor %d has no vCPU in the source", p.Index))
		}
	}
}

// crashed tells whether the guest is known to have stopped with a bug check.
func (g *finder) crashed() bool { return g.BugCheck != nil && g.BugCheck.Code != 0 }
