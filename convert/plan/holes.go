package plan

import (
	"math"

	"windmp/convert/guest"
	"windmp/winhdr"
)

// dataSpans yields the spans with the holes of the source cut out: they are
// zeros, and nothing needs to be read. Only stretches of leastHole and more are
// asked about.
func (m *memoryPlan) dataSpans(yield func(span) bool) {
	for s := range m.spans {
		for s.size > 0 {
			part := m.piece(s)
			if !yield(part) {
				return
			}
			s = s.behind(part.size)
		}
	}
}

// piece is the first part of s that is all hole or all read.
func (m *memoryPlan) piece(s span) span {
	if s.absent || s.size < guest.LeastHole {
		return s
	}
	hole := m.image.NextData(s.pa) - s.pa
	if hole = min(hole, s.size) &^ (winhdr.PageSize - 1); hole >= guest.LeastHole {
		return span{pa: s.pa, size: hole, absent: true}
	}
	return span{pa: s.pa, size: guest.LeastHole}
}

// spaceNeeded is what the output takes in a file system at most, in bytes: without
// the holes of the source, but for the ends of each. Memory that the source lacks
// counts in full: it may be claimed without a file to show for it.
func (p *Plan) spaceNeeded(opt WriteOptions) int64 {
	need := p.Size
	grain := opt.Sparse.Grain()
	if grain == 0 {
		return need
	}
	for s := range p.memory.spans {
		for !s.absent && s.size > 0 {
			part := p.memory.piece(s)
			if part.absent {
				need -= int64(part.size) - 2*int64(grain) //nolint:gosec // at most the output's size
			}
			s = s.behind(part.size)
		}
	}
	return need
}

// nextEdit is the first address from pa on that an edit changes.
func (o *overlay) nextEdit(pa uint64) uint64 {
	next := uint64(math.MaxUint64)
	for i := range o.edits {
		if e := &o.edits[i]; e.end() > pa {
			next = min(next, max(e.PA, pa))
		}
	}
	return next
}
