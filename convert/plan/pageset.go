package plan

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"windmp/winhdr"
)

// pageSet is a set of page frames out of a table of runs: one bit a page, in
// chunks that are made when a page of theirs is added, so that its size does not
// depend on how the pages are scattered, and little on the size of the runs.
type pageSet struct {
	runs   []winhdr.PhysicalMemoryRun64 // ascending, disjoint
	first  []uint64                     // the bit of each run's first page
	chunks []*pageChunk                 // nil: no page
	count  uint64
}

const (
	wordBits  = 64
	chunkBits = 1 << 15 // 128 MiB of memory
)

// pageChunk has bit i%64 of word i/64 for its bit i.
type pageChunk [chunkBits / wordBits]uint64

func newPageSet(runs []winhdr.PhysicalMemoryRun64) *pageSet {
	s := &pageSet{runs: runs, first: make([]uint64, len(runs))}
	total := uint64(0)
	for i, r := range runs {
		s.first[i] = total
		total += r.PageCount
	}
	s.chunks = make([]*pageChunk, (total+chunkBits-1)/chunkBits)
	return s
}

// find is the bit of pfn, if it lies in a run.
func (s *pageSet) find(pfn uint64) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(s.runs, pfn, func(r winhdr.PhysicalMemoryRun64, pfn uint64) int {
		if pfn >= r.BasePage && pfn-r.BasePage < r.PageCount {
			return 0
		}
		return cmp.Compare(r.BasePage, pfn)
	})
	if !ok {
		return 0, false
	}
	return s.first[i] + pfn - s.runs[i].BasePage, true
}

// add puts pfn in and reports whether it is new; a frame outside the runs is
// not taken.
func (s *pageSet) add(pfn uint64) bool {
	at, ok := s.find(pfn)
	if !ok {
		return false
	}
	c := s.chunks[at/chunkBits]
	if c == nil {
		c = new(pageChunk)
		s.chunks[at/chunkBits] = c
	}
	word, bit := &c[at%chunkBits/wordBits], uint64(1)<<(at%wordBits)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.count++
	return true
}

// has reports whether pfn is in the set.
func (s *pageSet) has(pfn uint64) bool {
	at, ok := s.find(pfn)
	if !ok {
		return false
	}
	c := s.chunks[at/chunkBits]
	return c != nil && c[at%chunkBits/wordBits]>>(at%wordBits)&1 != 0
}

// all yields the set as runs, ascending; two never touch unless the table's do.
func (s *pageSet) all() iter.Seq[winhdr.PhysicalMemoryRun64] {
	return func(yield func(winhdr.PhysicalMemoryRun64) bool) {
		for i, r := range s.runs {
			end := s.first[i] + r.PageCount
			for at := s.first[i]; ; {
				from := s.next(at, end, true)
				if from >= end {
					break
				}
				at = min(s.next(from, end, false), end)
				if !yield(winhdr.PhysicalMemoryRun64{BasePage: r.BasePage + from - s.first[i], PageCount: at - from}) {
					return
				}
			}
		}
	}
}

// next is the first bit from at on that is set, or that is not; end or above when
// there is none below it.
func (s *pageSet) next(at, end uint64, set bool) uint64 {
	for at < end {
		c := s.chunks[at/chunkBits]
		if c == nil {
			if !set {
				return at
			}
			at = (at/chunkBits + 1) * chunkBits
			continue
		}
		word := c[at%chunkBits/wordBits]
		if !set {
			word = ^word
		}
		if word >>= at % wordBits; word != 0 {
			return at + uint64(bits.TrailingZeros64(word)) //nolint:gosec // 0..63
		}
		at = (at/wordBits + 1) * wordBits
	}
	return end
}
