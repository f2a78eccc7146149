package vtop

import (
	"context"
	"io"
	"slices"

	"windmp/physmem"
)

// maxPossible bounds the ranges that [PossibleRoots] returns.
const maxPossible = 1 << 16

// Wanted is what roots are looked for: the modes and addresses of [FindRoots].
type Wanted struct {
	Modes []*Mode
	Must  []VA
}

// PossibleRoots searches physical memory once for the pages that may be roots, of each
// that is wanted: [FindRoots] offers no others, in mem and in memory that has the same
// pages elsewhere, each higher by one of shifts, and nothing besides. It may then ask for
// more addresses than were asked for here. The pages are in the ranges, ascending; where
// there are very many, others between them are returned too. What can't be read is passed
// over; the error is ctx's.
func PossibleRoots(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, shifts []uint64, wanted ...Wanted) ([][]physmem.Range, error) {
	shifts = append([]uint64{0}, shifts...)
	end := PA(slices.Max(shifts))
	if len(ranges) > 0 {
		end += PA(ranges[len(ranges)-1].End())
	}
	list := make([]possibleRoots, len(wanted))
	for i, w := range wanted {
		list[i] = possibleRoots{groups: rootGroups(w.Modes, w.Must), must: w.Must, shifts: shifts, end: end}
	}
	err := eachPage(ctx, mem, ranges, func(pa PA, page []byte) bool {
		for i := range list {
			list[i].page(pa, page)
		}
		return true
	})
	found := make([][]physmem.Range, len(list))
	for i := range list {
		for _, r := range list[i].found {
			found[i] = append(found[i], physmem.Within(ranges, r)...)
		}
	}
	return found, err
}

// possibleRoots looks at pages for PossibleRoots.
type possibleRoots struct {
	groups []rootGroup
	must   []VA
	shifts []uint64
	end    PA // behind all memory, however it is shifted
	found  []physmem.Range
}

// page looks at one page.
func (s *possibleRoots) page(pa PA, page []byte) {
	for i := range s.groups {
		if s.mayBe(&s.groups[i], pa, page) {
			s.add(uint64(pa))
			return
		}
	}
}

// mayBe reports whether a page may hold a root of modes.
func (s *possibleRoots) mayBe(g *rootGroup, pa PA, page []byte) bool {
	for off := 0; off < pageSize; off += g.size {
		table := page[off : off+g.size]
		if s.mayMapSelf(g.modes[0].Mode, pa+PA(off), table) {
			return true
		}
		if g.mapping && slices.ContainsFunc(g.modes, func(m rootMode) bool { return m.RootByMapping && m.leadsOn(table, s.must, s.end) }) {
			return true
		}
	}
	return false
}

// mayMapSelf reports whether a table has the self-map in one of its places. Where it is
// less than a page, other memory says so, of which nothing is known here.
func (s *possibleRoots) mayMapSelf(m *Mode, pa PA, table []byte) bool {
	if len(table) < pageSize {
		return m.SelfMap != nil && m.refersToParts(table)
	}
	return slices.ContainsFunc(s.shifts, func(shift uint64) bool { return m.mapsSelf(nil, pa+PA(shift), table) })
}

// add keeps a page, which is behind all others. Of too many ranges, two in a row become
// one.
func (s *possibleRoots) add(pa uint64) {
	if last := len(s.found) - 1; last >= 0 && s.found[last].End() == pa {
		s.found[last].Size += pageSize
		return
	}
	if len(s.found) == maxPossible {
		for i := range maxPossible / 2 {
			s.found[i] = physmem.Span(s.found[2*i].Start, s.found[2*i+1].End())
		}
		s.found = s.found[:maxPossible/2]
	}
	s.found = append(s.found, physmem.Range{Start: pa, Size: pageSize})
}
