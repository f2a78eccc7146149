package guest

import (
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/winhdr"
)

// leastHole is the least stretch of the source, in bytes, of which it is asked
// whether it is a hole. Asking costs about as much as reading a few pages.
const LeastHole = 1 << 20

// dataRanges is the memory that the source holds, without its holes: what a
// search has to read. A page at either side of a hole is kept, so that what
// begins or ends in zeros is whole.
func DataRanges(im *physmem.Image) []physmem.Range {
	var out []physmem.Range
	for _, r := range im.Ranges() {
		start := r.Start // of the range that is being made
		for at := r.Start; at < r.End(); {
			next := min(im.NextData(at), r.End())
			if next-at < LeastHole {
				at = min(at+LeastHole, r.End())
				continue
			}
			out = appendRange(out, start, min(at+winhdr.PageSize, r.End()))
			start = next&^(winhdr.PageSize-1) - winhdr.PageSize
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

// blockRanges is dataRanges for a search for debugger data blocks.
func (d *discovery) blockRanges() []kdbg.Range {
	data := DataRanges(d.g.Image)
	out := make([]kdbg.Range, 0, len(data))
	for _, r := range data {
		out = append(out, kdbg.Range(r))
	}
	return out
}
