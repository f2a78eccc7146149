package search

import (
	"context"
	"io"
	"slices"

	"windmp/convert/machine"
	"windmp/kdbg/locate"
	"windmp/physmem"
	"windmp/vtop"
)

// Seen is what all searches of one memory share, for each machine that it may be of and,
// of one piece, with holes: where its pages lie differs, not what is in them. So all of it
// is read for the first search, and not again for the others. A nil Seen knows nothing.
type Seen struct {
	image  *physmem.Image // without holes that were only supposed
	shifts []uint64       // by how much parts of it may lie higher

	located bool
	blocks  []locate.Candidate
	roots   map[*machine.Machine][]physmem.Range
}

// NewSeen knows nothing yet of im.
func NewSeen(im *physmem.Image) *Seen { return &Seen{image: im, shifts: []uint64{0}} }

// Expect says that a view with these holes, which ascend, will be searched, of memory that
// is one piece. In others, all memory is searched for page tables.
func (s *Seen) Expect(holes ...physmem.Range) {
	shift := uint64(0)
	for _, h := range holes {
		if shift += h.Size; !slices.Contains(s.shifts, shift) {
			s.shifts, s.roots = append(s.shifts, shift), nil
		}
	}
}

// surveyed tells whether it is known what may be roots of page tables.
func (s *Seen) surveyed() bool { return s != nil && s.roots != nil }

// piece is memory that lies higher in a view, by shift.
type piece struct {
	physmem.Range
	shift uint64
}

// pieces are what a view makes of the memory; nil where it is not all of it.
func (s *Seen) pieces(view *physmem.Image) (list []piece) {
	whole, parts := s.image.Ranges(), view.Ranges()
	if len(whole) == 0 || physmem.TotalSize(parts) != physmem.TotalSize(whole) {
		return nil
	}
	if slices.Equal(whole, parts) {
		for _, r := range parts {
			list = append(list, piece{Range: r})
		}
		return list
	}
	if len(whole) > 1 {
		return nil
	}
	at := whole[0].Start
	for _, r := range parts {
		list = append(list, piece{physmem.Range{Start: at, Size: r.Size}, r.Start - at})
		at += r.Size
	}
	return list
}

// blocksIn are the candidates for KDBG in a view; false if it is not known.
func (s *Seen) blocksIn(view *physmem.Image) (list []locate.Candidate, ok bool) {
	if s == nil || !s.located {
		return nil, false
	}
	pieces := s.pieces(view)
	for _, p := range pieces {
		for _, c := range s.blocks {
			if p.Contains(c.At) && p.End()-c.At >= locate.Span {
				c.At += p.shift
				list = append(list, c)
			}
		}
	}
	return list, pieces != nil
}

// keepBlocks keeps the candidates that were found in an image, if that is the one.
func (s *Seen) keepBlocks(im *physmem.Image, list []locate.Candidate) {
	if s != nil && im == s.image {
		s.located, s.blocks = true, list
	}
}

// rootsIn are the pages of a view that may be roots of m's page tables; false if that
// can't be known. Those of all machines are looked for when they are asked for first, in
// memory as counted gives it. The error is ctx's.
func (s *Seen) rootsIn(ctx context.Context, view *physmem.Image, counted func(io.ReaderAt) io.ReaderAt, m *machine.Machine, all []*machine.Machine) (list []physmem.Range, ok bool, err error) {
	if s == nil {
		return nil, false, nil
	}
	pieces := s.pieces(view)
	if pieces == nil || slices.ContainsFunc(pieces, func(p piece) bool { return !slices.Contains(s.shifts, p.shift) }) {
		return nil, false, nil
	}
	if !s.surveyed() {
		if err := s.survey(ctx, counted(s.image), all); err != nil {
			return nil, false, err
		}
	}
	roots, ok := s.roots[m]
	for _, p := range pieces {
		for _, r := range physmem.Within(roots, p.Range) {
			list = append(list, physmem.Range{Start: r.Start + p.shift, Size: r.Size})
		}
	}
	return list, ok, nil
}

// survey looks for what may be roots of machines' page tables.
func (s *Seen) survey(ctx context.Context, mem io.ReaderAt, machines []*machine.Machine) error {
	survey := s.newSurvey(machines)
	if err := survey.Search(ctx, mem); err != nil {
		return err
	}
	s.keepRoots(survey, machines)
	return nil
}

// several tells whether page tables are looked for more than once: for several machines, or
// in several views.
func (s *Seen) several(machines int) bool { return s != nil && (machines > 1 || len(s.shifts) > 1) }

// isAll tells whether a view has the pages of the memory, where it has them: a search of
// the one goes through the other.
func (s *Seen) isAll(view *physmem.Image) bool {
	return slices.Equal(s.image.Ranges(), view.Ranges())
}

func (s *Seen) newSurvey(machines []*machine.Machine) *vtop.RootSurvey {
	wanted := make([]vtop.Wanted, len(machines))
	for i, m := range machines {
		wanted[i] = vtop.Wanted{Modes: m.Modes, Must: []vtop.VA{m.Kernel.SharedUserData}}
	}
	return vtop.NewRootSurvey(DataRanges(s.image), s.shifts, wanted...)
}

// keepRoots keeps what a survey found that has gone through all of memory.
func (s *Seen) keepRoots(survey *vtop.RootSurvey, machines []*machine.Machine) {
	s.roots = map[*machine.Machine][]physmem.Range{}
	for i, roots := range survey.Found() {
		s.roots[machines[i]] = roots
	}
}
