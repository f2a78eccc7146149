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
	// VCPU is the position, in the source, of the vCPU that proves to run it, -1 for
	// none; State is what that says.
	VCPU  int
	State *machine.State
	// Foreign says that the source has vCPUs that run no processor of this guest, or
	// do not prove which: one of them may be this processor's, stopped elsewhere.
	Foreign bool
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

// crashed tells whether the guest is known to have stopped with a bug check.
func (g *finder) crashed() bool { return g.BugCheck != nil && g.BugCheck.Code != 0 }
