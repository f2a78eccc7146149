package pageset

import (
	"cmp"
	"iter"
	"slices"
)

// Subset is a set of pages out of a table of runs. It numbers the table's pages
// one after the other, so that what it takes does not depend on how they are
// scattered: at most a bit for each page of the table.
type Subset struct {
	runs  []tableRun
	total uint64
	set   Set
}

// tableRun are the pages from first to behind, of which the first has number at.
type tableRun struct{ first, behind, at uint64 }

// NewSubset makes an empty set of pages out of runs, each given by its first page
// and the one behind its last: ascending and disjoint. Two may touch.
func NewSubset(runs iter.Seq2[uint64, uint64]) *Subset {
	s := new(Subset)
	for first, behind := range runs {
		s.runs = append(s.runs, tableRun{first, behind, s.total})
		s.total += behind - first
	}
	return s
}

// Empty makes another empty set out of the same table.
func (s *Subset) Empty() *Subset { return &Subset{runs: s.runs, total: s.total} }

// number returns the number of a page, if it is in the table.
func (s *Subset) number(page uint64) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(s.runs, page, func(r tableRun, page uint64) int {
		if page >= r.first && page < r.behind {
			return 0
		}
		return cmp.Compare(r.first, page)
	})
	if !ok {
		return 0, false
	}
	return s.runs[i].at + page - s.runs[i].first, true
}

// Add puts a page in and reports whether it is new; one outside the table is not
// taken.
func (s *Subset) Add(page uint64) bool {
	at, ok := s.number(page)
	return ok && s.set.Add(at)
}

// AddRun puts in what of the pages from first up to the one before behind is in the
// table.
func (s *Subset) AddRun(first, behind uint64) {
	i, _ := slices.BinarySearchFunc(s.runs, first, func(r tableRun, page uint64) int {
		if r.behind <= page {
			return -1
		}
		return 1
	})
	for ; i < len(s.runs) && s.runs[i].first < behind; i++ {
		r := s.runs[i]
		from, to := max(first, r.first), min(behind, r.behind)
		s.set.AddRun(r.at+from-r.first, r.at+to-r.first)
	}
}

// Has reports whether a page is in the set.
func (s *Subset) Has(page uint64) bool {
	at, ok := s.number(page)
	return ok && s.set.Has(at)
}

// Count returns the number of pages in the set.
func (s *Subset) Count() uint64 { return s.set.Count() }

// Runs yields the set as runs, ascending: the first page, and the one behind the
// last. Two never touch unless those of the table do.
func (s *Subset) Runs() iter.Seq2[uint64, uint64] {
	return func(yield func(first, behind uint64) bool) {
		i := 0
		for at, behind := range s.set.Runs() {
			for at < behind {
				for i+1 < len(s.runs) && s.runs[i+1].at <= at {
					i++
				}
				r := s.runs[i]
				n := min(behind-at, r.behind-r.first-(at-r.at))
				first := r.first + at - r.at
				if !yield(first, first+n) {
					return
				}
				at += n
			}
		}
	}
}
