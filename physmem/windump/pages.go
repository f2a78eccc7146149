package windump

import (
	"io"
	"iter"
	"math"
	"sync"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/bitmap"
)

// pageFile is memory of which a bitmap says what is there, and which the file
// holds page by page in the bitmap's order, without gaps.
type pageFile struct {
	r       io.ReaderAt
	first   int64 // file offset of the first page
	present *bitmap.Pages
	united  func() []physmem.Range // made when it is asked for
}

func newPageFile(r io.ReaderAt, first int64, present *bitmap.Pages) *pageFile {
	return &pageFile{r: r, first: first, present: present, united: sync.OnceValue(present.Ranges)}
}

// Ranges implements [physmem.Memory].
func (f *pageFile) Ranges() []physmem.Range { return f.united() }

// offset returns where the file holds a page that is present.
func (f *pageFile) offset(page uint64) int64 {
	return f.first + int64(f.present.Rank(page)*physmem.PageSize) //nolint:gosec // inside the file
}

// Extents implements [physmem.Locator].
func (f *pageFile) Extents(pa uint64) iter.Seq[physmem.Extent] {
	return func(yield func(physmem.Extent) bool) {
		for page := pa / physmem.PageSize; ; {
			first, ok := f.present.Next(page)
			if !ok {
				return
			}
			page = f.present.End(first, math.MaxUint64)
			start := max(first*physmem.PageSize, pa)
			e := physmem.Extent{
				Range:  physmem.Span(start, page*physmem.PageSize),
				Offset: f.offset(first) + int64(start-first*physmem.PageSize), //nolint:gosec // inside the page
			}
			if !yield(e) {
				return
			}
		}
	}
}

// NextData implements [physmem.DataFinder]: it looks at the pages that follow each
// other in the file.
func (f *pageFile) NextData(pa int64) int64 {
	page, within := binio.Uint64(pa)/physmem.PageSize, pa%physmem.PageSize
	if !f.present.Has(page) {
		return pa
	}
	off := f.offset(page) + within
	skipped := physmem.NextData(f.r, off) - off
	if skipped == 0 {
		return pa
	}
	behind := f.present.End(page, page+binio.Uint64(skipped)/physmem.PageSize+2)
	return pa + min(skipped, int64(behind*physmem.PageSize)-pa) //nolint:gosec // at most 2^48
}

// ReadAt implements [physmem.Memory]. It reads each run of pages with one read of the
// file.
func (f *pageFile) ReadAt(p []byte, at int64) (int, error) {
	pa := binio.Uint64(at)
	n := 0
	for n < len(p) {
		page, within := pa/physmem.PageSize, pa%physmem.PageSize
		if !f.present.Has(page) {
			return n, f.present.Hole(pa)
		}
		left := uint64(len(p) - n)
		behind := f.present.End(page, (pa+left-1)/physmem.PageSize+1)
		want := min(left, behind*physmem.PageSize-pa)
		off := f.offset(page) + int64(within)
		got, err := binio.ReadSome(f.r, p[n:][:want], off)
		n += got
		if err != nil {
			return n, &physmem.ReadError{Offset: off + int64(got), Err: err}
		}
		pa += want
	}
	return n, nil
}
