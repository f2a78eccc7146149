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
	// MaxSize caps the physical addresses that a bitmap covers, bytes: 256 TiB, which
	// take a bitmap of 8 GiB for pages of 4 KiB. Processors could address 16 times that.
	MaxSize = 1 << 48
	// MaxRuns caps the runs of pages of a bitmap. Every run takes a page of the
	// file or more, so 16 million are 64 GiB of single pages; as ranges they take
	// 256 MiB.
	MaxRuns = 1 << 24
)

// Pages is a set of pages that also knows how many of them are below one.
type Pages struct {
	*pageset.Set
	*pageset.Ranks
	size uint64 // of a page, bytes
}

// of returns the pages of a set that nobody adds to any more.
func of(s *pageset.Set, size uint64) *Pages { return &Pages{s, pageset.NewRanks(s), size} }

// With returns other pages of the same size. Nobody adds to the set any more.
func (p *Pages) With(s *pageset.Set) *Pages { return of(s, p.size) }

// A Place says where a bitmap is: that of a file of a format at an offset, which may
// differ from where its reader has it.
type Place struct {
	Format physmem.Format
	Offset int64
}

// Read reads a bitmap of n bits at offset off of r, where it must lie: one for each page
// of size bytes, which is [physmem.PageSize] or more. n*size is at most [MaxSize]. The
// error is a *physmem.ReadError, a *physmem.FormatError of too many runs, or the context's.
func Read(ctx context.Context, r io.ReaderAt, off int64, n, size uint64, at Place) (*Pages, error) {
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
	return of(s, size), nil
}

// Ranges returns the pages as ranges of bytes.
func (p *Pages) Ranges() []physmem.Range {
	out := make([]physmem.Range, 0, p.RunCount())
	for first, behind := range p.Runs() {
		out = append(out, physmem.Span(first*p.size, behind*p.size))
	}
	return out
}

// Hole returns the error for memory at pa, whose page is none of them.
func (p *Pages) Hole(pa uint64) error {
	next, ok := p.Next(pa / p.size)
	if !ok {
		return &physmem.NotInImageError{PA: pa}
	}
	return &physmem.NotInImageError{PA: pa, Size: next*p.size - pa}
}
