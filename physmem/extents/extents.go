// Package extents is guest-physical memory that lies byte by byte in a file, in any
// order: what most containers come down to once their tables are read. An opener
// collects [Piece] values, has them sorted by [Resolve], and gives them to [New].
package extents

import (
	"io"
	"iter"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Memory is a [physmem.Memory] of extents, found by binary search. It is a
// [physmem.Locator] and a [physmem.DataFinder].
type Memory struct {
	r      io.ReaderAt
	stated []physmem.Extent // what the file's headers say, sorted by Start, disjoint
	read   []physmem.Extent // that and what was placed, joined; Recovered means nothing here
	united []physmem.Range  // the same bytes, adjacent ranges merged
}

// New returns the memory that extents of r describe, which are sorted by address,
// disjoint, and from now on the memory's.
func New(r io.ReaderAt, stated []physmem.Extent) *Memory {
	return &Memory{r: r, stated: stated, read: stated, united: Unite(stated)}
}

// With returns the memory with more extents, sorted and disjoint among themselves
// and with what is there.
func (m *Memory) With(more []physmem.Extent) *Memory {
	read := merge(m.read, more)
	return &Memory{r: m.r, stated: m.stated, read: read, united: Unite(read)}
}

// List returns all extents, sorted and disjoint, those that continue each other
// joined: which of them were placed is not said. It is not to be changed.
func (m *Memory) List() []physmem.Extent { return m.read }

// Ranges implements [physmem.Memory].
func (m *Memory) Ranges() []physmem.Range { return m.united }

// Extents implements [physmem.Locator]. Those that were placed are marked as
// recovered.
func (m *Memory) Extents(pa uint64) iter.Seq[physmem.Extent] {
	return func(yield func(physmem.Extent) bool) {
		i := search(m.stated, pa)
		for _, e := range m.read[search(m.read, pa):] {
			at := max(e.Start, pa)
			// part yields what is left of e up to an address.
			part := func(end uint64, recovered bool) bool {
				if end <= at {
					return true
				}
				x := e.Part(at, end-at)
				x.Recovered = recovered
				at = end
				return yield(x)
			}
			for ; i < len(m.stated) && m.stated[i].Start < e.End(); i++ {
				if !part(m.stated[i].Start, true) || !part(m.stated[i].End(), false) {
					return
				}
			}
			if !part(e.End(), true) {
				return
			}
		}
	}
}

// search returns the first extent that ends above pa.
func search(list []physmem.Extent, pa uint64) int {
	i, _ := slices.BinarySearchFunc(list, pa, func(e physmem.Extent, pa uint64) int {
		if e.End() <= pa {
			return -1
		}
		return 1
	})
	return i
}

// ReadAt implements [physmem.Memory]. It reads across extents, each with one read
// of the file.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	pa := binio.Uint64(off)
	n := 0
	for i := search(m.read, pa); n < len(p); i++ {
		if i == len(m.read) {
			return n, &physmem.NotInImageError{PA: pa}
		}
		e := m.read[i]
		if pa < e.Start {
			return n, &physmem.NotInImageError{PA: pa, Size: e.Start - pa}
		}
		want := int(min(uint64(len(p)-n), e.End()-pa)) //nolint:gosec // at most len(p)
		at := e.Part(pa, 0).Offset
		got, err := binio.ReadSome(m.r, p[n:n+want], at)
		n += got
		if err != nil {
			return n, &physmem.ReadError{Offset: at + int64(got), Err: err}
		}
		pa += uint64(want)
	}
	return n, nil
}

// NextData implements [physmem.DataFinder]: it looks at the extent that pa lies in.
func (m *Memory) NextData(pa int64) int64 {
	i := search(m.read, binio.Uint64(pa))
	if i == len(m.read) || binio.Uint64(pa) < m.read[i].Start {
		return pa
	}
	e := m.read[i]
	off := e.Part(binio.Uint64(pa), 0).Offset
	left := int64(e.End() - binio.Uint64(pa)) //nolint:gosec // inside the file
	return pa + min(physmem.NextData(m.r, off)-off, left)
}

// Unite returns the ranges of sorted, disjoint extents, adjacent ones merged.
func Unite(list []physmem.Extent) []physmem.Range {
	n := 0
	for i, e := range list {
		if i == 0 || e.Start > list[i-1].End() {
			n++
		}
	}
	out := make([]physmem.Range, 0, n)
	for i, e := range list {
		if i > 0 && e.Start <= list[i-1].End() {
			out[len(out)-1].Size += e.Size
			continue
		}
		out = append(out, e.Range)
	}
	return out
}

// merge joins extents with those placed in their gaps; both are sorted, and
// disjoint.
func merge(list, placed []physmem.Extent) []physmem.Extent {
	var out []physmem.Extent
	for len(list) > 0 || len(placed) > 0 {
		if len(placed) == 0 || len(list) > 0 && list[0].Start < placed[0].Start {
			out = Append(out, list[0])
			list = list[1:]
			continue
		}
		out = Append(out, placed[0])
		placed = placed[1:]
	}
	return slices.Clip(out)
}

// Append appends an extent that lies above the others, joined to the last one if it
// continues it.
func Append(list []physmem.Extent, e physmem.Extent) []physmem.Extent {
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.End() == e.Start && last.Bias() == e.Bias() {
			last.Size += e.Size
			return list
		}
	}
	return append(list, e)
}
