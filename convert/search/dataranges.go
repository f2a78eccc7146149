package search

import (
	"windmp/physmem"
)

const (
	// leastHole is the least stretch of the source, in bytes, that is left out as a
	// hole, and how far behind the beginning of data it is asked for the next one.
	// Asking costs about as much as reading a few pages.
	leastHole = 64 << 10
	// mostData is how far that grows, in bytes, while there is only data: a power of two
	// times leastHole.
	mostData = 1 << 20
	// manyRanges is from how many ranges on a hole has to be of mostData: a file may
	// claim a page here and there in any number of terabytes.
	manyRanges = 1 << 18
)

// DataRanges is the memory that the source holds, without its holes: what a
// search has to read. A page at either side of a hole is kept, so that what
// begins or ends in zeros is whole.
func DataRanges(im *physmem.Image) []physmem.Range {
	var out []physmem.Range
	for _, r := range im.Ranges() {
		start := r.Start // of the range that is being made
		step := uint64(leastHole)
		for at := r.Start; at < r.End(); {
			next := min(im.NextData(at), r.End())
			if hole := next - at; hole < leastHole || hole < mostData && len(out) >= manyRanges {
				at = min((at+step)&^(step-1), r.End())
				step = min(2*step, mostData)
				continue
			}
			step = leastHole
			out = appendRange(out, start, min(at+physmem.PageSize, r.End()))
			start = next&^(physmem.PageSize-1) - physmem.PageSize
			at = next
			if next == r.End() {
				start = next
			}
		}
		out = appendRange(out, start, r.End())
	}
	return out
}

// appendRange appends [start, end) unless it is empty.
func appendRange(list []physmem.Range, start, end uint64) []physmem.Range {
	if start >= end {
		return list
	}
	return append(list, physmem.Range{Start: start, Size: end - start})
}
