package guest

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/kdbg/specials"
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
	Specials specials.Registers
}

// readProcessors walks KiProcessorBlock, settles how many processors the dump
// counts, and pairs them with the vCPUs.
func (g *finder) readProcessors() error {
	claimed := g.claimedProcessors()
	list, err := g.Kernel.Processors(claimed)
	if err != nil {
		return g.Refuse(finding.NoProcessors.WithAdvice("WinDbg rejects a dump without it. Dump the guest again with all of its memory.").At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(), "KiProcessorBlock, the list of processors, is not readable").Because(err), err)
	}
	n := CountProcessors(list)
	if n == 0 {
		return g.Refuse(finding.NoProcessors.At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(),
			"no processor has usable structures").Because(processorProblems(list)), nil)
	}
	g.settleCount(claimed, n, list)
	for _, p := range list[:n] {
		if p.Err != nil {
			g.Add(finding.ProcessorLeftOut.WithAdvice("WinDbg will show no registers for it.").At("VA "+p.PRCB.String(), "processor %d is left out", p.Index).Because(p.Err))
		}
		g.Processors = append(g.Processors, g.readSaved(p))
	}
	g.pairVCPUs()
	return nil
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
