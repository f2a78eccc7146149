// Package bitmap reads the bitmaps with which dumps list their pages.
package bitmap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"windmp/internal/pageset"
	"windmp/physmem"
)

const (
	// MaxPages caps the page frame numbers of a bitmap: 256 TiB of physical
	// addresses, which take a bitmap of 8 GiB. Processors could address 16 times
	// that.
	MaxPages = 1 << 36
	// MaxRuns caps the runs of pages of a bitmap. Every run takes a page of the
	// file or more, so 16 million are 64 GiB of single pages; as ranges they take
	// 256 MiB.
	MaxRuns = 1 << 24
)

// Pages is a set of pages that also knows how many of them are below one.
type Pages struct {
	*pageset.Set
	*pageset.Ranks
}

// Of returns the pages of a set that nobody adds to any more.
func Of(s *pageset.Set) *Pages { return &Pages{s, pageset.NewRanks(s)} }

// A Place says where a bitmap is: that of a file of a format at an offset, which may
// differ from where its reader has it.
type Place struct {
	Format physmem.Format
	Offset int64
}

// Read reads a bitmap of n bits at offset off of r, where it must lie. The error is a
// *physmem.ReadError, a *physmem.FormatError of too many runs, or the context's.
func Read(ctx context.Context, r io.ReaderAt, off int64, n uint64, at Place) (*Pages, error) {
	physmem.ReadsTable(r, n/8)
	s, err := pageset.Read(ctx, r, off, n, MaxRuns)
	var failed *pageset.ReadError
	switch {
	case errors.Is(err, pageset.ErrTooManyRuns):
		return nil, &physmem.FormatError{
			Format: at.Format, Offset: at.Offset, Field: "bitmap", Got: fmt.Sprintf("more than 0x%x separate runs of pages", uint64(MaxRuns)),
			Want: fmt.Sprintf("at most 0x%x", uint64(MaxRuns)),
		}
	case errors.As(err, &failed):
		return nil, &physmem.ReadError{Offset: failed.Offset, Err: failed.Err}
	case err != nil:
		return nil, err
	}
	return Of(s), nil
}

// Ranges returns the pages as ranges of bytes.
func (p *Pages) Ranges() []physmem.Range {
	out := make([]physmem.Range, 0, p.RunCount())
	for first, behind := range p.Runs() {
		out = append(out, physmem.Span(first*physmem.PageSize, behind*physmem.PageSize))
	}
	return out
}

// Hole returns the error for memory at pa, whose page is none of them.
func (p *Pages) Hole(pa uint64) error {
	next, ok := p.Next(pa / physmem.PageSize)
	if !ok {
		return &physmem.NotInImageError{PA: pa}
	}
	return &physmem.NotInImageError{PA: pa, Size: next*physmem.PageSize - pa}
}
