package plan

import (
	"fmt"
	"iter"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/physmem"
	"windmp/winhdr"
)

// span is a stretch of the output's pages: from guest memory, or zeros for
// memory that the source does not hold.
type span struct {
	pa     uint64 // guest-physical address of the first byte
	size   uint64 // bytes
	absent bool   // not in the source, written as zeros
}

// memoryPlan is the output's memory: which pages, and where each byte is from.
type memoryPlan struct {
	image *physmem.Image
	kind  winhdr.DumpType
	// runs are the pages, ascending; of a kernel dump those it chooses from.
	runs []winhdr.PhysicalMemoryRun64
	// kept is what a kernel dump holds of runs, nil for the other kinds.
	kept *pageSet
	// firstPage is the file offset of the first page.
	firstPage int64
	missing   []physmem.Range // what the header lists and the source lacks
	absent    uint64          // bytes of missing
	dropped   uint64          // pages trimmed from the runs because of it
}

// planMemory settles which pages the dump holds, what happens to memory that the
// source does not hold, and the type of dump that can list it.
func (p *Plan) planMemory(opt Options) error {
	m := &p.memory
	m.image, m.runs = p.Guest.Image, p.Guest.Runs
	for _, r := range m.runs {
		m.missing = append(m.missing, m.image.Missing(guest.RunRange(r))...)
	}
	for _, x := range m.missing {
		m.absent += x.Size
	}
	if m.absent > 0 {
		if err := p.settleMissing(opt.missing()); err != nil {
			return err
		}
	}
	if err := p.chooseType(opt.outputType()); err != nil {
		return err
	}
	if m.kind == winhdr.DumpTypeBitmapKernel {
		if err := p.selectKernel(opt.KeepProcesses); err != nil {
			return err
		}
	}
	return p.layOut()
}

// settleMissing refuses, zeroes or drops.
func (p *Plan) settleMissing(mode report.MissingMode) error {
	what := fmt.Sprintf("%d bytes of the guest's memory in %d ranges are not in the source", p.memory.absent, len(p.memory.missing))
	where := finding.RangesText(p.memory.missing)
	switch mode {
	case report.MissingZero:
		p.Addf(finding.IDMissing, finding.SeverityWarn, where, "Structures there read as zeros in WinDbg.", "%s and are written as zeros", what)
		return nil
	case report.MissingDrop:
		return p.dropMissing(what, where)
	case report.MissingFail:
	}
	return p.Refuse(finding.Finding{
		ID: finding.IDMissing, Where: where, Message: what,
		Advice: "Dump the whole guest (no begin/length filter, enough space), or accept a dump with gaps: --missing=zero writes zeros there, --missing=drop leaves the pages out.",
	}, nil)
}

// dropMissing trims every page that is not wholly in the source.
func (p *Plan) dropMissing(what, where string) error {
	kept := guest.WithoutPages(p.memory.runs, p.memory.missing)
	if len(kept) == 0 {
		return p.Refuse(finding.Finding{ID: finding.IDMissing, Where: where, Message: "the source holds no whole page of the guest's memory"}, nil)
	}
	p.memory.dropped = guest.PageCount(p.memory.runs) - guest.PageCount(kept)
	p.memory.runs = kept
	p.Addf(finding.IDMissing, finding.SeverityWarn, where, "WinDbg will say that these pages are not available.",
		"%s: %d pages are left out of the dump", what, p.memory.dropped)
	return nil
}

// chooseType settles the type of dump. A full dump lists 42 runs at most; where
// joining adjacent ones is not enough, a bitmap lists any number.
func (p *Plan) chooseType(want OutputType) error {
	m := &p.memory
	switch want {
	case OutputBitmap:
		m.kind = winhdr.DumpTypeBitmapFull
		return nil
	case OutputKernel:
		m.kind = winhdr.DumpTypeBitmapKernel
		return nil
	case OutputAuto, OutputFull:
		m.kind = winhdr.DumpTypeFull
	}
	if len(m.runs) <= p.Header.Format().MaxRuns() {
		return nil
	}
	if joined := guest.JoinRuns(m.runs); len(joined) <= p.Header.Format().MaxRuns() {
		m.runs = joined
		return nil
	}
	f := finding.Finding{
		ID: finding.IDTooManyRuns, Severity: finding.SeverityInfo,
		Message: fmt.Sprintf("the guest's memory lies in %d runs, a full dump lists %d: the dump is written as a bitmap dump", len(m.runs), p.Header.Format().MaxRuns()),
	}
	if want == OutputFull {
		f.Message = fmt.Sprintf("the guest's memory lies in %d runs, a full dump lists %d", len(m.runs), p.Header.Format().MaxRuns())
		f.Advice = "Use --type=bitmap."
		return p.Refuse(f, nil)
	}
	m.kind = winhdr.DumpTypeBitmapFull
	p.Add(f)
	return nil
}

// pages is the number of pages in the output.
func (m *memoryPlan) pages() uint64 {
	if m.kept != nil {
		return m.kept.count
	}
	return guest.PageCount(m.runs)
}

// pageRuns yields the output's pages in the order of the file, which is that of
// their addresses.
func (m *memoryPlan) pageRuns() iter.Seq[winhdr.PhysicalMemoryRun64] {
	if m.kept != nil {
		return m.kept.all()
	}
	return slices.Values(m.runs)
}

// spans yields the output's pages and tells what is in the source and what is
// not.
func (m *memoryPlan) spans(yield func(span) bool) {
	for r := range m.pageRuns() {
		whole := guest.RunRange(r)
		at := whole.Start
		cut := func(end uint64, absent bool) bool {
			if end <= at {
				return true
			}
			s := span{pa: at, size: end - at, absent: absent}
			at = end
			return yield(s)
		}
		if m.absent > 0 {
			for _, x := range m.image.Missing(whole) {
				if !cut(x.Start, false) || !cut(x.End(), true) {
					return
				}
			}
		}
		if !cut(whole.End(), false) {
			return
		}
	}
}

// contains tells whether [pa, pa+n), which lies within a page or a few adjacent
// ones, is in the output.
func (m *memoryPlan) contains(pa, n uint64) bool {
	for _, r := range m.runs {
		w := guest.RunRange(r)
		if pa < w.Start || pa >= w.End() || n > w.End()-pa {
			continue
		}
		if m.kept == nil {
			return true
		}
		for page := pa / winhdr.PageSize; page*winhdr.PageSize < pa+n; page++ {
			if !m.kept.has(page) {
				return false
			}
		}
		return true
	}
	return false
}
