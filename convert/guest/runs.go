package guest

import (
	"windmp/physmem"
	"windmp/winhdr"
)

// PageRuns is a run table as a set of pages.
func PageRuns(table []winhdr.PhysicalMemoryRun64) physmem.Runs {
	out := make(physmem.Runs, 0, len(table))
	for _, r := range table {
		out = append(out, physmem.Run(r))
	}
	return out
}

// RunTable is a set of pages as a run table.
func RunTable(runs physmem.Runs) []winhdr.PhysicalMemoryRun64 {
	var out []winhdr.PhysicalMemoryRun64
	for _, r := range runs {
		out = append(out, winhdr.PhysicalMemoryRun64(r))
	}
	return out
}

// PageCount sums the pages of runs.
func PageCount(runs []winhdr.PhysicalMemoryRun64) (n uint64) {
	for _, r := range runs {
		n += r.PageCount
	}
	return n
}
