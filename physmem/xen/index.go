package xen

import (
	"fmt"

	"windmp/physmem"
	"windmp/physmem/extents"
)

// maxPieces caps the pieces in which memory lies in a file: 40 bytes of each are kept.
// A guest that was never ballooned has some dozens in a core, and in a saved state one
// for 1024 pages, 16384 for 64 GiB; one that gave single pages back, or was saved while
// it ran, has more.
const maxPieces = 1 << 20

// index collects where pages lie.
type index struct {
	file   *file
	pieces []extents.Piece
	most   int // pieces that are kept, for tests; 0 for maxPieces
	// later says that of a page that is there several times the last one counts.
	later bool
	order int
	pages uint64 // placed, those of pages that are there several times each
	clash *extents.Conflict
}

// add places a page at a file offset, as far as the file has it.
func (x *index) add(page, off uint64) error {
	have := x.file.has.Clip(off, physmem.PageSize)
	if have == 0 {
		return nil
	}
	x.pages++
	e := physmem.Extent{Range: physmem.Range{Start: page * physmem.PageSize, Size: have}, Offset: int64(off)} //nolint:gosec // inside the file
	if n := len(x.pieces); n > 0 {
		last := &x.pieces[n-1]
		if last.End() == e.Start && last.FileEnd() == off {
			last.Size += have
			return nil
		}
	}
	if len(x.pieces) >= x.limit() {
		if err := x.compact(); err != nil {
			return err
		}
	}
	x.order++
	p := extents.Piece{Extent: e, Order: x.order}
	if x.later {
		p.Order = -x.order
	}
	x.pieces = append(x.pieces, p)
	return nil
}

func (x *index) limit() int {
	if x.most > 0 {
		return x.most
	}
	return maxPieces
}

// resolve sorts the pieces.
func (x *index) resolve() []physmem.Extent {
	list, clash := extents.Resolve(x.pieces)
	if x.clash == nil {
		x.clash = clash
	}
	return list
}

// compact makes room: of pages that were written again only one place is kept. What
// leaves too little room ends it, so that it is not done for every page.
func (x *index) compact() error {
	list := x.resolve()
	if len(list) > x.limit()/4*3 {
		return &physmem.FormatError{
			Format: physmem.FormatXen, Field: "pages", Got: fmt.Sprintf("memory in more than 0x%x pieces", len(list)),
			Want: fmt.Sprintf("at most 0x%x", x.limit()), Hint: hintCrash,
		}
	}
	// Among themselves they are disjoint, and all that comes later wins, or loses.
	x.pieces = x.pieces[:0]
	order := 0
	if x.later {
		order = -x.order
	}
	for _, e := range list {
		x.pieces = append(x.pieces, extents.Piece{Extent: e, Order: order})
	}
	return nil
}
