package plan

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/binio"
	"windmp/internal/pageset"
	"windmp/physmem"
	"windmp/winhdr"
)

// memoryPlan is the output's memory: which pages, and where each byte is from.
type memoryPlan struct {
	kind winhdr.DumpType
	// machine is all memory of the guest.
	machine physmem.Runs
	// runs are the pages; of a kernel dump those it chooses from.
	runs physmem.Runs
	// listed are the runs that the output lists where these are not runs: with gaps
	// between them, which hold zeros.
	listed physmem.Runs
	gaps   []physmem.Range
	// kept is what a kernel dump holds of runs, nil for the other kinds.
	kept    *pageset.Subset
	missing []physmem.Range // what the header lists and the source lacks, ascending
	absent  uint64          // bytes of missing
	dropped uint64          // pages trimmed from the runs because of it
	zeroed  bool            // what is missing is written as zeros
	policy  report.MissingMode
}

// planMemory settles which pages the dump holds, what happens to memory that the
// source does not hold, and the type of dump that can list it.
func (p *Plan) planMemory(ctx context.Context, opt Options) error {
	m := &p.memory
	p.listMemory()
	if err := p.settleMissing(opt); err != nil {
		return err
	}
	if err := p.chooseType(opt.outputType()); err != nil {
		return err
	}
	if m.kind == winhdr.DumpTypeBitmapKernel {
		if err := p.selectKernel(ctx, opt.KeepProcesses); err != nil {
			return err
		}
	}
	return p.layOut()
}

// listMemory takes the guest's table of memory, and what of it the source lacks.
func (p *Plan) listMemory() {
	m := &p.memory
	m.machine, m.runs = p.machineMemory(), p.guest.Runs()
	m.missing = p.guest.Image().MissingOf(m.runs)
	m.absent = physmem.TotalSize(m.missing)
}

// machineMemory is the guest's table of memory: of a source that is a dump which leaves
// pages out, that of its header, if it has all pages that are there.
func (p *Plan) machineMemory() physmem.Runs {
	runs := p.guest.Runs()
	if !p.guest.Origin().Dump || !p.header.DumpType.ListsPages() {
		return runs
	}
	whole, _ := p.header.Runs()
	if whole == nil || len(runs.Without(whole.Ranges())) > 0 {
		return runs
	}
	return whole
}

// end is the page frame behind the last of the guest's memory.
func (m *memoryPlan) end() uint64 {
	end := uint64(0)
	for _, r := range m.machine {
		end = max(end, r.End())
	}
	return end
}

// settleMissing refuses, zeroes or drops what the source lacks.
func (p *Plan) settleMissing(opt Options) error {
	p.memory.policy = opt.missing()
	if p.memory.absent == 0 {
		return nil
	}
	refused, zeroed, dropped := finding.Missing, finding.MissingZeroed, finding.MissingDropped
	if p.onBadSectors() {
		zeroed, dropped = zeroed.WithAdvice(finding.AdviceZeroed+finding.AdviceHaveCopy), dropped.WithAdvice(finding.AdviceDropped+finding.AdviceHaveCopy)
	}
	if opt.format() == FormatELF {
		refused, dropped = refused.WithAdvice(finding.AdviceCoreGaps), dropped.WithAdvice(finding.AdviceDumpAgain)
	}
	what := fmt.Sprintf("%s of the guest's memory in %s are not in the source",
		binio.Bytes(p.memory.absent), binio.Plural(len(p.memory.missing), "range"))
	where := finding.Ranges(p.memory.missing)
	switch p.memory.policy {
	case report.MissingZero:
		p.memory.zeroed = true
		p.found.Add(zeroed.At(where, "%s and are written as zeros", what))
		return nil
	case report.MissingDrop:
		return p.dropMissing(dropped, what, where)
	case report.MissingFail:
	}
	return p.found.Refuse(refused.At(where, "%s", what), nil)
}

// onBadSectors tells whether a disk did not give some of the memory.
func (p *Plan) onBadSectors() bool {
	return slices.ContainsFunc(p.guest.Image().Oddities(), func(o physmem.Oddity) bool { return o.Kind == physmem.OddityUnreadable })
}

// dropMissing trims every page that is not wholly in the source.
func (p *Plan) dropMissing(dropped finding.Kind, what, where string) error {
	kept := p.memory.runs.Without(p.memory.missing)
	if len(kept) == 0 {
		return p.found.Refuse(finding.Missing.WithAdvice("").At(where, "the source holds no whole page of the guest's memory"), nil)
	}
	p.memory.dropped = p.memory.runs.Pages() - kept.Pages()
	p.memory.runs = kept
	p.found.Add(dropped.At(where, "%s: %s left out of the dump", what, binio.Bytes(p.memory.dropped*physmem.PageSize)))
	return nil
}

// chooseType settles the type of dump.
func (p *Plan) chooseType(want OutputType) error {
	m := &p.memory
	switch want {
	case OutputBitmap:
		m.kind = winhdr.DumpTypeBitmapFull
		return nil
	case OutputKernel:
		m.kind = winhdr.DumpTypeBitmapKernel
		return nil
	case OutputAuto, OutputFull, OutputTriage: // the last has no pages, and does not come here
		m.kind = winhdr.DumpTypeFull
	}
	return p.listPages(want == OutputFull)
}

// pages is the number of pages in the output.
func (m *memoryPlan) pages() uint64 {
	if m.kept != nil {
		return m.kept.Count()
	}
	return m.table().Pages()
}

// table is what the output lists.
func (m *memoryPlan) table() physmem.Runs {
	if m.listed != nil {
		return m.listed
	}
	return m.runs
}

// zeros are what the output holds as zeros, and the source not at all, ascending.
func (m *memoryPlan) zeros() []physmem.Range {
	if !m.zeroed {
		return m.gaps
	}
	return physmem.Normalize(slices.Concat(m.missing, m.gaps))
}

// pageRuns yields the output's pages in the order of the file, which is that of
// their addresses.
func (m *memoryPlan) pageRuns() iter.Seq[physmem.Run] {
	if m.kept == nil {
		return slices.Values(m.table())
	}
	return func(yield func(physmem.Run) bool) {
		for first, behind := range m.kept.Runs() {
			if !yield(physmem.Run{BasePage: first, PageCount: behind - first}) {
				return
			}
		}
	}
}

// contains tells whether the n bytes from pa on are in the output.
func (m *memoryPlan) contains(pa, n uint64) bool {
	if !m.runs.Contains(pa, n) {
		return false
	}
	if m.kept == nil {
		return true
	}
	for page := pa / physmem.PageSize; page*physmem.PageSize < pa+n; page++ {
		if !m.kept.Has(page) {
			return false
		}
	}
	return true
}
