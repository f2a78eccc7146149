package plan

import (
	"cmp"
	"slices"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/winhdr"
)

// listPages settles how the dump lists its pages. A full dump lists 42 runs at most;
// where joining adjacent ones is not enough, a bitmap lists any number, as far as its
// bits reach. Where neither does, runs that lie near each other become one, with zeros
// between them: as many as have to.
func (p *Plan) listPages(asked bool) error {
	m, most := &p.memory, p.header.Format().MaxRuns()
	if len(m.runs) <= most {
		return nil
	}
	joined := m.runs.Join()
	bridged, gaps := nearest(joined, most)
	zeros := bridged.Pages() - joined.Pages()
	switch fits := dump.BitmapHolds(m.runs[len(m.runs)-1].End()); {
	case len(gaps) == 0:
		m.runs = joined
	case fits && asked:
		return p.found.Refuse(finding.RunsDoNotFit.At("", "the guest's memory lies in %d runs, a full dump lists %d", len(m.runs), most), nil)
	case fits:
		m.kind = winhdr.DumpTypeBitmapFull
		p.found.Add(finding.TooManyRuns.At("",
			"the guest's memory lies in %d runs, a full dump lists %d: the dump is written as a bitmap dump", len(m.runs), most))
	case !asked && zeros > joined.Pages():
		return p.found.Refuse(finding.BitmapTooLarge.At("", "the guest's memory lies in %d runs, a full dump lists %d, and reaches farther (to %s) than a bitmap does; joined to %d runs, the dump would have %d pages of zeros beside the guest's %d",
			len(m.runs), most, binio.Bytes(m.runs[len(m.runs)-1].Range().End()), most, zeros, joined.Pages()), nil)
	default:
		m.listed, m.gaps = bridged, gaps
		p.found.Add(finding.RunsBridged.At(finding.Ranges(gaps),
			"the guest's memory lies in %d runs, a full dump lists %d, and no bitmap reaches to its end: the %d smallest gaps are in the dump, as %d pages of zeros",
			len(joined), most, len(gaps), zeros))
	}
	return nil
}

// nearest makes at most most of runs that do not touch, and returns the gaps that lie
// in them then: the smallest.
func nearest(runs physmem.Runs, most int) (physmem.Runs, []physmem.Range) {
	if len(runs) <= most {
		return runs, nil
	}
	behind := make([]int, 0, len(runs)-1) // the runs with a gap behind them, the smallest first
	for i := range len(runs) - 1 {
		behind = append(behind, i)
	}
	gap := func(i int) uint64 { return runs[i+1].BasePage - runs[i].End() }
	slices.SortStableFunc(behind, func(a, b int) int { return cmp.Compare(gap(a), gap(b)) })
	behind = behind[:len(runs)-most]
	slices.Sort(behind)
	var gaps []physmem.Range
	out := make(physmem.Runs, 0, most)
	for i, r := range runs {
		if len(behind) > 0 && behind[0] == i-1 {
			last := &out[len(out)-1]
			gaps = append(gaps, physmem.Run{BasePage: last.End(), PageCount: r.BasePage - last.End()}.Range())
			last.PageCount = r.End() - last.BasePage
			behind = behind[1:]
			continue
		}
		out = append(out, r)
	}
	return out, gaps
}
