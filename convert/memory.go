package convert

import (
	"fmt"

	"windmp/physmem"
	"windmp/winhdr"
)

// span is a stretch of the output's pages: from guest memory, or zeros for
// memory that the source does not hold.
type span struct {
	off    int64  // in the output file
	pa     uint64 // guest-physical address of the first byte
	size   uint64 // bytes
	absent bool   // not in the source, written as zeros
}

// memoryPlan is the output's memory: which runs, and where each byte is from.
type memoryPlan struct {
	runs    []winhdr.PhysicalMemoryRun64
	spans   []span
	missing []physmem.Range // what the header lists and the source lacks
	absent  uint64          // bytes of missing
	dropped uint64          // pages trimmed from the runs
}

// planMemory lays the header's runs back to back behind the header and settles
// what happens to memory that the source does not hold.
func (p *Plan) planMemory(mode MissingMode) error {
	p.memory.runs = p.Guest.Runs
	for _, r := range p.Guest.Runs {
		p.memory.missing = append(p.memory.missing, p.Guest.Image.Missing(runRange(r))...)
	}
	for _, m := range p.memory.missing {
		p.memory.absent += m.Size
	}
	if p.memory.absent > 0 {
		if err := p.settleMissing(mode); err != nil {
			return err
		}
	}
	p.layOut()
	return nil
}

// settleMissing refuses, zeroes or drops.
func (p *Plan) settleMissing(mode MissingMode) error {
	what := fmt.Sprintf("%d bytes of the guest's memory in %d ranges are not in the source", p.memory.absent, len(p.memory.missing))
	where := rangesText(p.memory.missing)
	switch mode {
	case MissingZero:
		p.addf(IDMissing, SeverityWarn, where, "Structures there read as zeros in WinDbg.", "%s and are written as zeros", what)
		return nil
	case MissingDrop:
		return p.dropMissing(what, where)
	case MissingFail:
	}
	return p.refuse(Finding{
		ID: IDMissing, Where: where, Message: what,
		Advice: "Dump the whole guest (no begin/length filter, enough space), or accept a dump with gaps: --missing=zero writes zeros there, --missing=drop leaves the pages out.",
	}, nil)
}

// dropMissing trims every page that is not wholly in the source.
func (p *Plan) dropMissing(what, where string) error {
	kept := withoutPages(p.Guest.Runs, p.memory.missing)
	if len(kept) == 0 {
		return p.refuse(Finding{ID: IDMissing, Where: where, Message: "the source holds no whole page of the guest's memory"}, nil)
	}
	if len(kept) > winhdr.MaxRuns64 {
		return p.refuse(Finding{
			ID: IDTooManyRuns, Where: where,
			Message: fmt.Sprintf("%s; leaving them out makes %d runs, a full dump holds %d", what, len(kept), winhdr.MaxRuns64),
			Advice:  "Use --missing=zero.",
		}, nil)
	}
	p.memory.dropped = pageCount(p.Guest.Runs) - pageCount(kept)
	p.memory.runs = kept
	p.addf(IDMissing, SeverityWarn, where, "WinDbg will say that these pages are not available.",
		"%s: %d pages are left out of the dump", what, p.memory.dropped)
	return nil
}

// withoutPages is runs less every page that one of the ranges touches. Two
// ranges may touch the same page.
func withoutPages(runs []winhdr.PhysicalMemoryRun64, missing []physmem.Range) []winhdr.PhysicalMemoryRun64 {
	var kept []winhdr.PhysicalMemoryRun64
	for _, r := range runs {
		at, end := r.BasePage, r.BasePage+r.PageCount
		for _, m := range missing {
			first, behind := m.Start/winhdr.PageSize, (m.End()-1)/winhdr.PageSize+1
			if behind <= at || first >= end {
				continue
			}
			if first > at {
				kept = append(kept, winhdr.PhysicalMemoryRun64{BasePage: at, PageCount: first - at})
			}
			at = max(at, behind)
		}
		if at < end {
			kept = append(kept, winhdr.PhysicalMemoryRun64{BasePage: at, PageCount: end - at})
		}
	}
	return kept
}

// pageCount sums the pages of runs.
func pageCount(runs []winhdr.PhysicalMemoryRun64) (n uint64) {
	for _, r := range runs {
		n += r.PageCount
	}
	return n
}

// layOut gives every byte of the runs its place in the output.
func (p *Plan) layOut() {
	off := int64(winhdr.Size64)
	for _, r := range p.memory.runs {
		whole := runRange(r)
		at := whole.Start
		add := func(end uint64, absent bool) {
			if end > at {
				p.memory.spans = append(p.memory.spans, span{off: off, pa: at, size: end - at, absent: absent})
				off += int64(end - at) //nolint:gosec // below 2^52
				at = end
			}
		}
		for _, m := range p.Guest.Image.Missing(whole) {
			add(m.Start, false)
			add(m.End(), true)
		}
		add(whole.End(), false)
	}
	p.Size = off
}

// contains tells whether [pa, pa+n) lies in one of the output's runs.
func (m *memoryPlan) contains(pa, n uint64) bool {
	for _, r := range m.runs {
		w := runRange(r)
		if pa >= w.Start && pa < w.End() && n <= w.End()-pa {
			return true
		}
	}
	return false
}
