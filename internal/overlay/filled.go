package overlay

import (
	"math"
	"slices"

	"windmp/physmem"
)

// Filled is memory that reads as zeros where the memory below has nothing.
type Filled struct {
	below  Memory
	absent []physmem.Range
}

// Fill makes zeros of the absent ranges, which are ascending and disjoint. Elsewhere
// the memory below is read as it is, and its errors are.
func Fill(below Memory, absent []physmem.Range) *Filled { return &Filled{below: below, absent: absent} }

// ReadAt implements io.ReaderAt.
func (f *Filled) ReadAt(p []byte, pa int64) (int, error) {
	if pa < 0 {
		return f.below.ReadAt(p, pa)
	}
	n := 0
	for i := f.find(uint64(pa)); n < len(p); i++ {
		at := uint64(pa) + uint64(n)
		part := p[n:]
		gap := physmem.Range{Start: math.MaxUint64}
		if i < len(f.absent) {
			gap = f.absent[i]
		}
		if gap.Start > at {
			part = part[:min(uint64(len(part)), gap.Start-at)]
			got, err := f.below.ReadAt(part, int64(at)) //nolint:gosec // from pa on, in a buffer
			if n += got; err != nil {
				return n, err
			}
			at += uint64(len(part))
			part = p[n:]
		}
		if i < len(f.absent) {
			part = part[:min(uint64(len(part)), gap.End()-at)]
			clear(part)
			n += len(part)
		}
	}
	return n, nil
}

// find is the index of the first absent range that ends above pa.
func (f *Filled) find(pa uint64) int {
	i, _ := slices.BinarySearchFunc(f.absent, pa, func(r physmem.Range, pa uint64) int {
		if r.End() <= pa {
			return -1
		}
		return 1
	})
	return i
}

// NextData implements Memory.
func (f *Filled) NextData(pa uint64) uint64 {
	if i := f.find(pa); i < len(f.absent) && f.absent[i].Start <= pa {
		return f.absent[i].End()
	}
	return f.below.NextData(pa)
}
