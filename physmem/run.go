package physmem

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A Run is a run of page frames: PageCount pages of PageSize bytes from page frame
// number BasePage on, which is guest-physical address BasePage*PageSize. Windows
// describes its memory like this (PHYSICAL_MEMORY_RUN).
type Run struct {
	BasePage  uint64
	PageCount uint64
}

// maxFrame is the number of page frames that 64-bit addresses reach.
const maxFrame = math.MaxUint64/PageSize + 1

// End returns the page frame number behind the run. Only a valid run has one.
func (r Run) End() uint64 { return r.BasePage + r.PageCount }

// Valid reports whether the run has pages and ends within the 64-bit address
// space, short of its last page: End and Range do not wrap.
func (r Run) Valid() bool {
	return r.PageCount > 0 && r.PageCount < maxFrame && r.BasePage < maxFrame-r.PageCount
}

// Range returns the bytes of a valid run.
func (r Run) Range() Range {
	return Range{Start: r.BasePage * PageSize, Size: r.PageCount * PageSize}
}

// String returns the run as its first page frame number and the one behind its
// last.
func (r Run) String() string { return fmt.Sprintf("pages [0x%x, 0x%x)", r.BasePage, r.End()) }

// RunOf returns the whole pages in a range; PageCount is 0 if there are none.
func RunOf(r Range) Run {
	first := r.Start / PageSize
	if r.Start%PageSize != 0 {
		first++
	}
	if end := r.End() / PageSize; end > first {
		return Run{BasePage: first, PageCount: end - first}
	}
	return Run{BasePage: first}
}

// Runs is a set of pages: valid runs, ascending and disjoint. Two may touch. Its
// methods take time in proportion to the lengths of the lists, or to the
// logarithm where they look one page up. None changes a list that it is given.
type Runs []Run

// RunsOf returns the whole pages in ranges that are ascending and disjoint.
func RunsOf(ranges []Range) Runs {
	var out Runs
	for _, r := range ranges {
		if run := RunOf(r); run.PageCount > 0 {
			out = append(out, run)
		}
	}
	return out
}

// Pages returns the number of pages.
func (s Runs) Pages() uint64 {
	var n uint64
	for _, r := range s {
		n += r.PageCount
	}
	return n
}

// Ranges returns the bytes of each run.
func (s Runs) Ranges() []Range {
	out := make([]Range, 0, len(s))
	for _, r := range s {
		out = append(out, r.Range())
	}
	return out
}

// Join returns the set with one run in place of those that touch.
func (s Runs) Join() Runs {
	var out Runs
	for _, r := range s {
		out = out.with(r)
	}
	return out
}

// with appends a run that lies behind all others, joined to the last if it touches
// it.
func (s Runs) with(r Run) Runs {
	if n := len(s); n > 0 && s[n-1].End() == r.BasePage {
		s[n-1].PageCount += r.PageCount
		return s
	}
	return append(s, r)
}

// Contains reports whether the n bytes from guest-physical address pa on are all in
// pages of the set, across runs that touch. No bytes are contained where the
// byte at pa would be.
func (s Runs) Contains(pa, n uint64) bool {
	last := pa
	if n > 0 {
		last = pa + n - 1
	}
	if last < pa {
		return false
	}
	first, end := pa/PageSize, last/PageSize+1
	for _, r := range s[s.endingAfter(first):] {
		if r.BasePage > first {
			return false
		}
		if first = r.End(); first >= end {
			return true
		}
	}
	return false
}

// endingAfter returns the index of the first run that ends above a page.
func (s Runs) endingAfter(page uint64) int {
	i, _ := slices.BinarySearchFunc(s, page, func(r Run, page uint64) int {
		if r.End() <= page {
			return -1
		}
		return 1
	})
	return i
}

// Without returns the set less every page of which one of the ranges has a byte.
// The ranges are ascending and disjoint; two may have bytes of the same page.
func (s Runs) Without(ranges []Range) Runs {
	var out Runs
	for _, r := range s {
		at, end := r.BasePage, r.End()
		for ; len(ranges) > 0; ranges = ranges[1:] {
			first, behind := ranges[0].Start/PageSize, (ranges[0].End()-1)/PageSize+1
			if first >= end {
				break
			}
			if first > at {
				out = append(out, Run{BasePage: at, PageCount: first - at})
			}
			if at = max(at, behind); behind > end {
				break // it goes on in the next run
			}
		}
		if at < end {
			out = append(out, Run{BasePage: at, PageCount: end - at})
		}
	}
	return out
}

// Check returns an error that names the first run that is not valid, or not
// behind the one before it.
func (s Runs) Check() error {
	for i, r := range s {
		if !r.Valid() {
			return fmt.Errorf("run %d of 0x%x pages from page frame 0x%x is outside the address space, or empty", i, r.PageCount, r.BasePage)
		}
		if i > 0 && cmp.Less(r.BasePage, s[i-1].End()) {
			return fmt.Errorf("run %d, %v, begins before the end of %v", i, r, s[i-1])
		}
	}
	return nil
}
