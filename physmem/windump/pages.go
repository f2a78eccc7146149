package physmem

import (
	"io"
	"sync"

	"windmp/internal/binio"
)

// pageFile is memory of which a bitmap says what is there, and which the file
// holds page by page in the bitmap's order, without gaps.
type pageFile struct {
	r       io.ReaderAt
	first   int64 // file offset of the first page
	present *pageSet
	united  func() []Range // made when it is asked for
}

func newPageFile(r io.ReaderAt, first int64, present *pageSet) *pageFile {
	return &pageFile{r: r, first: first, present: present, united: sync.OnceValue(present.ranges)}
}

func (f *pageFile) ranges() []Range { return f.united() }

// offset returns where the file holds a page that is present.
func (f *pageFile) offset(page uint64) int64 {
	return f.first + int64(f.present.Rank(page)*PageSize) //nolint:gosec // inside the file
}

func (f *pageFile) extents() []Extent {
	ranges := f.united()
	out := make([]Extent, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, Extent{Range: r, Offset: f.offset(r.Start / PageSize)})
	}
	return out
}

// readAt reads each run of pages with one read of the file.
func (f *pageFile) readAt(p []byte, pa uint64) (int, error) {
	n := 0
	for n < len(p) {
		page, within := pa/PageSize, pa%PageSize
		if !f.present.Has(page) {
			return n, f.present.hole(pa)
		}
		left := uint64(len(p) - n)
		behind := f.present.End(page, (pa+left-1)/PageSize+1)
		want := min(left, behind*PageSize-pa)
		off := f.offset(page) + int64(within)
		got, err := binio.ReadSome(f.r, p[n:][:want], off)
		n += got
		if err != nil {
			return n, &ReadError{Offset: off + int64(got), Err: err}
		}
		pa += want
	}
	return n, nil
}
