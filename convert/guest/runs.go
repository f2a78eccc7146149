package guest

import (
	"windmp/physmem"
	"windmp/winhdr"
)

// joinRuns makes one of runs that follow each other without a gap.
func JoinRuns(runs []winhdr.PhysicalMemoryRun64) []winhdr.PhysicalMemoryRun64 {
	var out []winhdr.PhysicalMemoryRun64
	for _, r := range runs {
		if n := len(out); n > 0 && out[n-1].BasePage+out[n-1].PageCount == r.BasePage {
			out[n-1].PageCount += r.PageCount
			continue
		}
		out = append(out, r)
	}
	return out
}

// withoutPages is runs less every page that one of the ranges touches. Both are
// ascending; two ranges may touch the same page.
func WithoutPages(runs []winhdr.PhysicalMemoryRun64, missing []physmem.Range) []winhdr.PhysicalMemoryRun64 {
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
func PageCount(runs []winhdr.PhysicalMemoryRun64) (n uint64) {
	for _, r := range runs {
		n += r.PageCount
	}
	return n
}
