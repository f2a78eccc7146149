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
	list   []Extent // sorted by Start, disjoint
	united []Range  // the same bytes, adjacent ranges merged
}

// newFlat returns the memory that the extents, sorted and disjoint, describe.
func newFlat(r io.ReaderAt, list []Extent) *flat {
	f := &flat{r: r}
	f.set(list)
	return f
}

// set replaces the extents by others, sorted and disjoint.
func (f *flat) set(list []Extent) {
	f.table.Store(&table{list: list, united: unite(list)})
}

func (f *flat) ranges() []Range   { return f.table.Load().united }
func (f *flat) extents() []Extent { return f.table.Load().list }

// readAt reads across extents, each with one read of the file.
func (f *flat) readAt(p []byte, pa uint64) (int, error) {
	list := f.table.Load().list
	i, _ := slices.BinarySearchFunc(list, pa, func(e Extent, pa uint64) int {
		if e.End() <= pa {
			return -1
		}
		return 1
	})
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
