package guest

import (
	"windmp/physmem"
)

// PageRuns is a run table as a set of pages.
func PageRuns(table []physmem.Run) physmem.Runs {
	out := make(physmem.Runs, 0, len(table))
	for _, r := range table {
		out = append(out, physmem.Run(r))
	}
	return out
}

// RunTable is a set of pages as a run table.
func RunTable(runs physmem.Runs) []physmem.Run {
	var out []physmem.Run
	for _, r := range runs {
		out = append(out, physmem.Run(r))
	}
	return out
}

// PageCount sums the pages of runs.
func PageCount(runs []physmem.Run) (n uint64) {
	for _, r := range runs {
		n += r.PageCount
	}
	return n
}
