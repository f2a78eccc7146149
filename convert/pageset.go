package convert

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"windmp/winhdr"
)

// pageSet is a set of page frames out of a table of runs: one bit a page, so
// that its size does not depend on how the pages are scattered.
type pageSet struct {
	runs  []winhdr.PhysicalMemoryRun64 // ascending, disjoint
	bits  [][]uint64                   // of each run, page i of it is bit i%64 of word i/64
	count uint64
}

const wordBits = 64

func newPageSet(runs []winhdr.PhysicalMemoryRun64) *pageSet {
	s := &pageSet{runs: runs, bits: make([][]uint64, len(runs))}
	for i, r := range runs {
		s.bits[i] = make([]uint64, (r.PageCount+wordBits-1)/wordBits)
	}
	return s
}

// find is the run that pfn lies in.
func (s *pageSet) find(pfn uint64) (int, bool) {
	return slices.BinarySearchFunc(s.runs, pfn, func(r winhdr.PhysicalMemoryRun64, pfn uint64) int {
		if pfn >= r.BasePage && pfn-r.BasePage < r.PageCount {
			return 0
		}
		return cmp.Compare(r.BasePage, pfn)
	})
}

// add puts pfn in and reports whether it is new; a frame outside the runs is
// not taken.
func (s *pageSet) add(pfn uint64) bool {
	i, ok := s.find(pfn)
	if !ok {
		return false
	}
	at := pfn - s.runs[i].BasePage
	word, bit := &s.bits[i][at/wordBits], uint64(1)<<(at%wordBits)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.count++
	return true
}

// has reports whether pfn is in the set.
func (s *pageSet) has(pfn uint64) bool {
	i, ok := s.find(pfn)
	if !ok {
		return false
	}
	at := pfn - s.runs[i].BasePage
	return s.bits[i][at/wordBits]>>(at%wordBits)&1 != 0
}

// all yields the set as runs, ascending; two never touch unless the table's do.
func (s *pageSet) all() iter.Seq[winhdr.PhysicalMemoryRun64] {
	return func(yield func(winhdr.PhysicalMemoryRun64) bool) {
		for i, r := range s.runs {
			for at := uint64(0); ; {
				from := s.next(i, at, true)
				if from >= r.PageCount {
					break
				}
				at = min(s.next(i, from, false), r.PageCount)
				if !yield(winhdr.PhysicalMemoryRun64{BasePage: r.BasePage + from, PageCount: at - from}) {
					return
				}
			}
		}
	}
}

// next is the first page of run i, from at on, that is in the set, or that is
// not; beyond the run's end when there is none.
func (s *pageSet) next(i int, at uint64, in bool) uint64 {
	words := s.bits[i]
	for w := at / wordBits; w < uint64(len(words)); w++ {
		word := words[w]
		if !in {
			word = ^word
		}
		if w == at/wordBits {
			word &= ^uint64(0) << (at % wordBits)
		}
		if word != 0 {
			return w*wordBits + uint64(bits.TrailingZeros64(word)) //nolint:gosec // 0..63
		}
	}
	return uint64(len(words)) * wordBits
}
