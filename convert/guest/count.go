package guest

import (
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/kdbg"
)

// KernelCount is how many processors Windows counts in a guest whose Kernel is known.
// Errors are those of [kdbg.Kernel.CountedProcessors].
func KernelCount(g *Guest) (uint32, error) { return g.f.Kernel.CountedProcessors(g.f.SharedUserData) }

// claimedProcessors is how many processors the guest may have: as many as its kernel
// counts, or, where it has no count to be read, as many entries of KiProcessorBlock as
// are filled. The header's count is as old as the guest driver's start: there were as
// many then, so that it goes over an entry that can't be read.
func (g *finder) claimedProcessors() int {
	most := g.Header.Format().MaxProcessors
	if n, err := g.Kernel.CountedProcessors(g.SharedUserData); err == nil && int64(n) <= int64(most) {
		return int(n)
	}
	filled := int(g.countFilled())
	if noted := g.Header.NumberProcessors; int64(noted) <= int64(most) {
		return max(filled, int(noted))
	}
	return filled
}

// countFilled is how many entries from the first on of KiProcessorBlock are usable
// processors that know their own number. Behind the last may lie anything.
func (g *finder) countFilled() uint32 {
	list, err := g.Kernel.Processors(g.Header.Format().MaxProcessors)
	if err != nil {
		return 1 // the processors' stage says why there are none
	}
	n := uint32(0)
	for _, p := range list {
		if p.Err != nil || p.Number != n {
			break
		}
		n++
	}
	return max(n, 1)
}

// settleCount writes the count that is the kernel's and that the engine accepts: n of
// the claimed entries in list.
func (g *finder) settleCount(claimed, n int, list []kdbg.Processor) {
	was := g.Header.NumberProcessors
	if int64(was) == int64(n) {
		return
	}
	g.Header.NumberProcessors = uint32(n) //nolint:gosec // n <= winhdr.MaxProcessors
	reason := fmt.Sprintf("the kernel has %d", n)
	if n < claimed {
		reason = fmt.Sprintf("only %d of %d KiProcessorBlock entries are usable, the engine rejects a dump that counts more", n, claimed)
	}
	g.because("NumberProcessors", reason)
	g.Add(finding.ProcessorsFewer.At(HeaderOffset(g.Header.Offset("NumberProcessors")), "NumberProcessors %d is written as %d: %s", was, n, reason))
	for _, p := range list[n:] {
		switch {
		case errors.Is(p.Err, kdbg.ErrNullPRCB): // there is none: the count says it
		case p.Err != nil:
			g.Add(finding.ProcessorLeftOut.At("", "processor %d is left out", p.Index).Because(p.Err))
		default:
			g.Add(finding.ProcessorLeftOut.At("", "processor %d is left out: it stands behind a null entry", p.Index))
		}
	}
}
