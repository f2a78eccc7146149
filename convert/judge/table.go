package judge

import (
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/processor"
	"windmp/internal/binio"
	"windmp/vtop"
	"windmp/winhdr"
)

// ownTable compares what the dump holds with the kernel's own table of memory: the
// header's is as old as whoever wrote it, and what it lacks nobody misses by it. A dump
// of the kernel's pages lacks most of them on purpose. Where the kernel's can't be
// used, it says nothing.
func (c *subject) ownTable() error {
	own, err := guest.KernelRuns(c.Guest)
	if err != nil {
		return nil //nolint:nilerr // it is one of two tables; without it the other stands
	}
	where := "VA " + vtop.VA(c.kernel.Data.MmPhysicalMemoryBlock).String()
	listed := c.Guest.Runs()
	switch c.h.DumpType {
	case winhdr.DumpTypeSummary, winhdr.DumpTypeBitmapKernel:
	default:
		if lacking := own.Without(listed.Ranges()); len(lacking) > 0 {
			c.Add(finding.PagesLacking.At(finding.Ranges(lacking.Ranges()), "*MmPhysicalMemoryBlock lists %s that the dump lacks", binio.Plural(lacking.Pages(), "page")))
		}
	}
	if more := listed.Without(own.Ranges()); len(more) > 0 {
		c.Add(finding.PagesUnlisted.At(where, "the dump lists %s that *MmPhysicalMemoryBlock does not", binio.Plural(more.Pages(), "page")))
	}
	return nil
}

// ownCount compares the header's count of processors with the kernel's own: debuggers
// show no more than the header counts.
func (c *subject) ownCount() error {
	n, err := guest.KernelCount(c.Guest)
	if err != nil || n <= c.h.NumberProcessors {
		return nil //nolint:nilerr // without the kernel's the header's stands
	}
	list, err := c.kernel.Processors(int(min(n, uint32(c.h.Format().MaxProcessors)))) //nolint:gosec // a few thousand
	if err != nil {
		return nil //nolint:nilerr // that is KiProcessorBlock's rule
	}
	if usable := processor.Usable(list); int64(usable) > int64(c.h.NumberProcessors) {
		c.Add(finding.CPUsLacking.At(guest.HeaderOffset(c.h.Offset("NumberProcessors")),
			"the header counts %s, the kernel %d", binio.Plural(c.h.NumberProcessors, "processor"), usable))
	}
	return nil
}
