package physmem

import (
	"io"
	"slices"
	"sync/atomic"

	"windmp/internal/binio"
)

// flat is memory that the file holds byte by byte: extents, found by binary
// search.
type flat struct {
	r     io.ReaderAt
	table atomic.Pointer[table]
}

// table is one state of what is known about the file. It never changes;
// placing more makes a new one.
type table struct {
	stated []Extent // what the file's headers say, sorted by Start, disjoint
	read   []Extent // that and what was placed, joined; Recovered means nothing here
	united []Range  // the same bytes, adjacent ranges merged
}

// newFlat returns the memory that the extents, sorted and disjoint, describe.
func newFlat(r io.ReaderAt, stated []Extent) *flat {
	f := &flat{r: r}
	f.table.Store(&table{stated: stated, read: stated, united: unite(stated)})
	return f
}

// place adds extents, sorted and disjoint among themselves and with what is
// there already.
func (f *flat) place(more []Extent) {
	t := f.table.Load()
	read := merge(t.read, more)
	f.table.Store(&table{stated: t.stated, read: read, united: unite(read)})
}

// clone returns a flat of its own on the same file and in the same state.
func (f *flat) clone() *flat {
	c := &flat{r: f.r}
	c.table.Store(f.table.Load())
	return c
}

func (f *flat) ranges() []Range { return f.table.Load().united }

// extents returns the extents, those that were placed marked as recovered.
func (f *flat) extents() []Extent {
	t := f.table.Load()
	out := make([]Extent, 0, len(t.stated))
	i := 0
	for _, e := range t.read {
		at := e.Start
		add := func(end uint64, recovered bool) {
			if end > at {
				x := e.at(at, end-at)
				x.Recovered = recovered
				out = append(out, x)
				at = end
			}
		}
		for ; i < len(t.stated) && t.stated[i].Start < e.End(); i++ {
			add(t.stated[i].Start, true)
			add(t.stated[i].End(), false)
		}
		add(e.End(), true)
	}
	return out
}

// searchExtents returns the first extent that ends above pa.
func searchExtents(list []Extent, pa uint64) int {
	i, _ := slices.BinarySearchFunc(list, pa, func(e Extent, pa uint64) int {
		if e.End() <= pa {
			return -1
		}
		return 1
	})
	return i
}

// readAt reads across extents, each with one read of the file.
func (f *flat) readAt(p []byte, pa uint64) (int, error) {
	list := f.table.Load().read
	i := searchExtents(list, pa)
	n := 0
	for n < len(p) {
		if i == len(list) {
			return n, &NotInImageError{PA: pa}
		}
		e := list[i]
		if pa < e.Start {
			return n, &NotInImageError{PA: pa, Size: e.Start - pa}
		}
		want := int(min(uint64(len(p)-n), e.End()-pa)) //nolint:gosec // at most len(p)
		off := e.at(pa, 0).Offset
		got, err := binio.ReadSome(f.r, p[n:n+want], off)
		n += got
		if err != nil {
			return n, &ReadError{Offset: off + int64(got), Err: err}
		}
		pa += uint64(want)
		i++
	}
	return n, nil
}
