package guest

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/processor"
	"windmp/kdbg"
	"windmp/vtop"
)

// readProcessors walks KiProcessorBlock, settles how many processors the dump
// counts, and pairs them with the vCPUs.
func (g *finder) readProcessors() error {
	claimed := g.claimedProcessors()
	list, err := g.Kernel.Processors(claimed)
	if err != nil {
		return g.Refuse(finding.NoProcessors.WithAdvice("WinDbg rejects a dump without it. Dump the guest again with all of its memory.").At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(), "KiProcessorBlock, the list of processors, is not readable").Because(err), err)
	}
	n := processor.Usable(list)
	if n == 0 {
		return g.Refuse(finding.NoProcessors.At("VA "+vtop.VA(g.Kernel.Data.KiProcessorBlock).String(),
			"no processor has usable structures").Because(processorProblems(list)), nil)
	}
	g.settleCount(claimed, n, list)
	for _, p := range list[:n] {
		if p.Err != nil {
			g.Add(finding.ProcessorLeftOut.WithAdvice("WinDbg will show no registers for it.").At("VA "+p.PRCB.String(), "processor %d is left out", p.Index).Because(p.Err))
		}
		g.Processors = append(g.Processors, processor.Read(g.machine, g.Memory, p))
	}
	if !g.Image.IsDump() { // a dump's registers are in its memory
		processor.Pair(g.paired(), g.Processors, g.states())
	}
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

// crashed tells whether the guest is known to have stopped with a bug check.
func (g *finder) crashed() bool { return g.BugCheck != nil && g.BugCheck.Code != 0 }

// paired is what the vCPUs are held against.
func (g *finder) paired() processor.Known {
	return processor.Known{View: g.View, Machine: g.machine, Kernel: g.Kernel, RootFound: g.Built, Findings: &g.List}
}
