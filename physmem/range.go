package physmem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"windmp/internal/binio"
)

// PageSize is the size of a page of memory, in bytes. An Image is not bound to
// it.
const PageSize = 0x1000

// MaxAddress is the end of physical memory that a machine can address: 52 bits of
// x86-64 (Intel SDM volume 3, section 4.1.4, MAXPHYADDR), and no machine that
// Windows runs on has more.
const MaxAddress = 1 << 52

// MaxPFN is the number of page frames below [MaxAddress].
const MaxPFN = MaxAddress / PageSize

// A Range is the guest-physical bytes [Start, Start+Size). In what this
// package returns Size is above 0 and Start+Size fits 64 bits.
type Range struct{ Start, Size uint64 }

// End returns the address of the first byte behind r.
func (r Range) End() uint64 { return r.Start + r.Size }

// Contains reports whether the byte at pa is part of r.
func (r Range) Contains(pa uint64) bool { return pa >= r.Start && pa-r.Start < r.Size }

// String returns the range as its first address and the one behind its last.
func (r Range) String() string { return fmt.Sprintf("[0x%x, 0x%x)", r.Start, r.End()) }

// JoinRanges returns ranges as a list for people.
func JoinRanges(list []Range) string {
	s := make([]string, 0, len(list))
	for _, r := range list {
		s = append(s, r.String())
	}
	return strings.Join(s, ", ")
}

// Span returns the range between two addresses.
func Span(start, end uint64) Range { return Range{Start: start, Size: end - start} }

// An Extent is a range and where the file holds it: the byte at Start+i is at
// file offset Offset+i.
type Extent struct {
	Range
	Offset int64
	// Recovered is set when the place was inferred by Image.Recover or
	// supposed by Image.Adopt; otherwise the file itself says it.
	Recovered bool
}

// Bias is file offset minus physical address, modulo 2^64: what two extents
// share if one continues the other.
func (e Extent) Bias() uint64 { return binio.Uint64(e.Offset) - e.Start }

// FileEnd returns the file offset behind the extent.
func (e Extent) FileEnd() uint64 { return binio.Uint64(e.Offset) + e.Size }

// Part returns the extent of pa onwards, of size bytes, which must lie in e.
func (e Extent) Part(pa, size uint64) Extent {
	e.Offset += int64(pa - e.Start) //nolint:gosec // inside the extent, whose end is an int64 offset
	e.Range = Range{Start: pa, Size: size}
	return e
}

// TotalSize is the sum of the sizes of ranges, in bytes.
func TotalSize(ranges []Range) (n uint64) {
	for _, r := range ranges {
		n += r.Size
	}
	return n
}

// Normalize returns the ranges sorted, united where they touch or overlap,
// with empty and wrapping ones left out.
func Normalize(ranges []Range) []Range {
	out := make([]Range, 0, len(ranges))
	for _, r := range ranges {
		if _, ok := binio.Sum(r.Start, r.Size); ok && r.Size > 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	n := 0
	for _, r := range out {
		if n > 0 && r.Start <= out[n-1].End() {
			out[n-1].Size = max(out[n-1].End(), r.End()) - out[n-1].Start
			continue
		}
		out[n] = r
		n++
	}
	return out[:n]
}

// Subtract returns the parts of r that are in none of the sorted, disjoint
// ranges.
func Subtract(r Range, ranges []Range) []Range {
	if _, ok := binio.Sum(r.Start, r.Size); !ok || r.Size == 0 {
		return nil
	}
	var out []Range
	at := r.Start
	for _, have := range ranges[firstEndingAfter(ranges, at):] {
		if have.Start >= r.End() {
			break
		}
		if have.Start > at {
			out = append(out, Span(at, have.Start))
		}
		at = max(at, have.End())
	}
	if at < r.End() {
		out = append(out, Span(at, r.End()))
	}
	return out
}

// firstEndingAfter returns the index of the first of the sorted, disjoint
// ranges that ends above pa, len(ranges) if none does.
func firstEndingAfter(ranges []Range, pa uint64) int {
	i, _ := slices.BinarySearchFunc(ranges, pa, func(r Range, pa uint64) int {
		if r.End() <= pa {
			return -1
		}
		return 1
	})
	return i
}

// Within returns the parts of the sorted, disjoint ranges that lie in r.
func Within(ranges []Range, r Range) []Range {
	var out []Range
	for _, x := range ranges[firstEndingAfter(ranges, r.Start):] {
		if x.Start >= r.End() {
			break
		}
		out = append(out, Span(max(x.Start, r.Start), min(x.End(), r.End())))
	}
	return out
}
