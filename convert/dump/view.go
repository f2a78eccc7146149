package dump

import (
	"errors"
	"io"
	"iter"
	"sort"
	"sync"

	"windmp/internal/pageset"
	"windmp/physmem"
)

// A View is a file that is not written: what a layout says, over memory. It can be
// read by several goroutines at once. It takes a few bytes for each run of pages,
// and no more than a bit for each page where there are many.
type View struct {
	layout Layout
	memory io.ReaderAt
	first  uint64 // file offset of the pages
	// Where the pages are: runs by their order in the file, or where these are too
	// many the set of them.
	runs  []viewRun
	pages *pageset.Ranks

	mu   sync.Mutex // of what follows
	next func() (Segment, bool)
	stop func()
	// What was last seen of what stands before the pages, and its file offset.
	front Segment
	at    uint64
}

// viewRun is memory from pa on, behind at bytes of other memory.
type viewRun struct{ at, pa uint64 }

// maxViewRuns is how many runs are listed.
const maxViewRuns = 1 << 12

// errBehind is for a layout that no View shows.
var errBehind = errors.New("the layout is not bytes and, behind them, ascending pages")

// NewView shows the layout's file. Offsets of memory are guest-physical addresses.
// Close ends the view; memory stays the caller's. The layout's memory is whole pages,
// ascending, behind everything else, as that of all layouts of this package is.
func NewView(l Layout, memory io.ReaderAt) (*View, error) {
	v := &View{layout: l, memory: memory}
	at, end, count := uint64(0), uint64(0), 0
	for s := range l.Segments() {
		switch {
		case s.Kind != Memory && count == 0:
			v.first += s.Size
			continue
		case s.Kind != Memory, s.PA < end, s.PA%physmem.PageSize != 0, s.Size%physmem.PageSize != 0:
			return nil, errBehind
		}
		if count++; count <= maxViewRuns {
			v.runs = append(v.runs, viewRun{at, s.PA})
		}
		at, end = at+s.Size, s.PA+s.Size
	}
	if count > maxViewRuns {
		if end/physmem.PageSize > MaxBitmapBits {
			return nil, &LimitError{Limit: LimitBitmap, Got: end / physmem.PageSize, Most: MaxBitmapBits}
		}
		v.runs, v.pages = nil, ranksOf(l)
	}
	return v, nil
}

// ranksOf are the pages of a layout.
func ranksOf(l Layout) *pageset.Ranks {
	set := new(pageset.Set)
	for s := range l.Segments() {
		if s.Kind == Memory {
			set.AddRun(s.PA/physmem.PageSize, (s.PA+s.Size)/physmem.PageSize)
		}
	}
	return pageset.NewRanks(set)
}

// place is the memory that lies at bytes behind the first page, up to n bytes of it
// that follow each other.
func (v *View) place(at, n uint64) Segment {
	if v.pages != nil {
		within := at % physmem.PageSize
		first, count := v.pages.Members(at/physmem.PageSize, (within+n-1)/physmem.PageSize+1)
		return Segment{Kind: Memory, PA: first*physmem.PageSize + within, Size: min(n, count*physmem.PageSize-within)}
	}
	i := sort.Search(len(v.runs), func(i int) bool { return v.runs[i].at > at })
	if i < len(v.runs) {
		n = min(n, v.runs[i].at-at)
	}
	r := v.runs[i-1]
	return Segment{Kind: Memory, PA: r.pa + at - r.at, Size: n}
}

// Size is that of the file in bytes.
func (v *View) Size() int64 { return v.layout.Size() }

// Close ends the view. It can't fail.
func (v *View) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rewind()
	return nil
}

// rewind goes back before the file's first byte.
func (v *View) rewind() {
	if v.stop != nil {
		v.stop()
	}
	v.next, v.stop, v.front, v.at = nil, nil, Segment{}, 0
}

// ReadAt implements io.ReaderAt. An error is io.EOF or one of memory's, wrapped.
func (v *View) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= v.Size() {
		return 0, io.EOF
	}
	short := v.Size()-off < int64(len(p))
	p = p[:min(int64(len(p)), v.Size()-off)]
	at := uint64(off)
	if at < v.first {
		n = v.readFront(p, at)
	}
	for n < len(p) {
		s := v.place(at+uint64(n)-v.first, uint64(len(p)-n))
		got, err := s.Read(p[n:][:s.Size], v.memory)
		n += got
		if err != nil {
			return n, err
		}
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// NextData implements [physmem.DataFinder], where memory knows its holes as that of
// internal/overlay does.
func (v *View) NextData(off int64) int64 {
	finder, ok := v.memory.(interface{ NextData(pa uint64) uint64 })
	if !ok || off < 0 {
		return off
	}
	for at := uint64(off); at >= v.first && at < uint64(v.Size()); { //nolint:gosec // not negative
		s := v.place(at-v.first, uint64(v.Size())-at) //nolint:gosec // not negative
		next := finder.NextData(s.PA)
		if next < s.PA+s.Size {
			return int64(at + next - s.PA) //nolint:gosec // below the size
		}
		at += s.Size
		off = int64(at) //nolint:gosec // at most the size
	}
	return off
}

// readFront reads what of p lies before the pages. What is read in the order of the
// file is made once.
func (v *View) readFront(p []byte, off uint64) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n < len(p) && off+uint64(n) < v.first { //nolint:gosec // not negative
		s := v.frontAt(off + uint64(n)) //nolint:gosec // not negative
		got, _ := s.Read(p[n:][:min(uint64(len(p)-n), s.Size)], nil)
		n += got
	}
	return n
}

// frontAt is what stands at a file offset before the pages.
func (v *View) frontAt(off uint64) Segment {
	if off < v.at {
		v.rewind()
	}
	if v.next == nil {
		v.next, v.stop = iter.Pull(v.layout.Segments())
	}
	for off >= v.at+v.front.Size {
		v.at += v.front.Size
		v.front, _ = v.next() // the pages come later
	}
	return v.front.Behind(off - v.at)
}
