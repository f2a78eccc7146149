package vtop

import (
	"context"
	"io"
	"slices"

	"windmp/physmem"
)

// maxPossible bounds the ranges that a [RootSurvey] returns.
const maxPossible = 1 << 16

// Wanted is what roots are looked for: the modes and addresses of [FindRoots].
type Wanted struct {
	Modes []*Mode
	Must  []VA
}

// A RootSurvey notes the pages that may be roots, of each that is wanted, of memory that
// is gone through: [FindRoots] offers no others, in that memory and in memory that has the
// same pages elsewhere, each higher by one of some shifts, and nothing besides. FindRoots
// may then ask for more addresses than were asked for here.
type RootSurvey struct {
	ranges []physmem.Range
	list   []possibleRoots
}

// NewRootSurvey is a survey of the ranges of memory, before it.
func NewRootSurvey(ranges []physmem.Range, shifts []uint64, wanted ...Wanted) *RootSurvey {
	shifts = append([]uint64{0}, shifts...)
	end := PA(slices.Max(shifts))
	if len(ranges) > 0 {
		end += PA(ranges[len(ranges)-1].End())
	}
	s := &RootSurvey{ranges: ranges, list: make([]possibleRoots, len(wanted))}
	for i, w := range wanted {
		s.list[i] = possibleRoots{groups: rootGroups(w.Modes, w.Must), must: w.Must, shifts: shifts, end: end}
	}
	return s
}

// Search goes through memory for nothing but the survey. What can't be read is passed
// over; the error is ctx's.
func (s *RootSurvey) Search(ctx context.Context, mem io.ReaderAt) error {
	return eachPage(ctx, mem, s.ranges, func(pa PA, page []byte) bool {
		s.page(pa, page)
		return true
	})
}

// page looks at one page; that of no survey does nothing.
func (s *RootSurvey) page(pa PA, page []byte) {
	if s == nil {
		return
	}
	for i := range s.list {
		s.list[i].page(pa, page)
	}
}

// Found are the pages, of each that is wanted, once all of memory was gone through: in the
// ranges, ascending. Where there are very many, others between them are returned too.
func (s *RootSurvey) Found() [][]physmem.Range {
	found := make([][]physmem.Range, len(s.list))
	for i := range s.list {
		for _, r := range s.list[i].found {
			found[i] = append(found[i], physmem.Within(s.ranges, r)...)
		}
	}
	return found
}

// possibleRoots looks at pages for a RootSurvey, of one that is wanted.
type possibleRoots struct {
	groups []rootGroup
	must   []VA
	shifts []uint64
	end    PA // behind all memory, however it is shifted
	found  []physmem.Range
}

// page looks at one page.
func (s *possibleRoots) page(pa PA, page []byte) {
	if isNone(s.groups, page) {
		return
	}
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
