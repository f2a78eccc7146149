package physmem

import (
	"errors"
	"fmt"
	"io"

	"windmp/internal/pageset"
)

const (
	// maxPages caps the page frame numbers of a bitmap: 256 TiB of physical
	// addresses, which take a bitmap of 8 GiB. x86-64 could address 16 times that.
	maxPages = 1 << 36
	// maxPageRuns caps the runs of pages of a bitmap. Every run takes a page of the
	// file or more, so 16 million are 64 GiB of single pages; their table takes
	// 256 MiB.
	maxPageRuns = 1 << 24
)

// pageSet is the pages that a bitmap of a file lists, and how many of them are
// below each.
type pageSet struct {
	*pageset.Set
	*pageset.Ranks
}

func newPageSet(s *pageset.Set) *pageSet { return &pageSet{s, pageset.NewRanks(s)} }

// readPageSet reads the bitmap of n bits at file offset off. It must lie in the
// file. place is where a message says that it lies.
func readPageSet(r io.ReaderAt, off int64, n uint64, format Format, place int64) (*pageSet, error) {
	s, err := pageset.Read(r, off, n, maxPageRuns)
	var failed *pageset.ReadError
	switch {
	case errors.Is(err, pageset.ErrTooManyRuns):
		return nil, &FormatError{
			Format: format, Offset: place, Field: "bitmap", Got: fmt.Sprintf("more than 0x%x separate runs of pages", uint64(maxPageRuns)),
			Want: fmt.Sprintf("at most 0x%x", uint64(maxPageRuns)),
		}
	case errors.As(err, &failed):
		return nil, &ReadError{Offset: failed.Offset, Err: failed.Err}
	case err != nil:
		return nil, err
	}
	return newPageSet(s), nil
}

// ranges returns the members as ranges of bytes.
func (s *pageSet) ranges() []Range {
	out := make([]Range, 0, s.RunCount())
	for first, behind := range s.Runs() {
		out = append(out, span(first*PageSize, behind*PageSize))
	}
	return out
}

// hole returns the error for memory at pa that the set does not have.
func (s *pageSet) hole(pa uint64) error {
	next, ok := s.Next(pa / PageSize)
	if !ok {
		return &NotInImageError{PA: pa}
	}
	return &NotInImageError{PA: pa, Size: next*PageSize - pa}
}
