package extents

import (
	"cmp"
	"container/heap"
	"slices"

	"windmp/physmem"
)

// A Piece is an extent with its place in the order of belief: the lowest wins
// where pieces disagree.
type Piece struct {
	physmem.Extent
	Order int
}

// comparePieces orders pieces by address, and by the order of the file.
func comparePieces(a, b Piece) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Order, b.Order))
}

// A Conflict is a byte for which two pieces give different places.
type Conflict struct {
	PA      uint64
	Offsets [2]int64 // in the file
}

// Resolve returns the memory of pieces, sorted and disjoint. It sorts the pieces.
// Where they overlap and agree on the place they are united. If they do not,
// Resolve returns the first byte for which that is so, and the piece of the lowest
// order is believed.
func Resolve(pieces []Piece) ([]physmem.Extent, *Conflict) {
	slices.SortFunc(pieces, comparePieces)
	list, clash := uniteAgreeing(pieces)
	if clash != nil {
		list = paint(pieces)
	}
	return list, clash
}

// uniteAgreeing unites sorted pieces. If two of them give different places for
// the same byte it returns the first such byte.
func uniteAgreeing(sorted []Piece) ([]physmem.Extent, *Conflict) {
	var out []physmem.Extent
	for _, p := range sorted {
		if n := len(out); n > 0 && p.Start <= out[n-1].End() {
			last := &out[n-1]
			switch {
			case p.Bias() == last.Bias():
				last.Size = max(last.End(), p.End()) - last.Start
				continue
			case p.Start < last.End():
				return nil, &Conflict{PA: p.Start, Offsets: [2]int64{last.Part(p.Start, 0).Offset, p.Offset}}
			}
		}
		out = append(out, p.Extent)
	}
	return out, nil
}

// paint resolves sorted pieces that disagree: every byte goes to the piece of
// the lowest order that covers it. It sweeps over the physical addresses with
// the pieces that may cover the current one in a heap.
func paint(sorted []Piece) []physmem.Extent {
	var (
		out    []physmem.Extent
		active byOrder
		at     uint64
	)
	for i := 0; ; {
		for len(active) > 0 && active[0].End() <= at {
			heap.Pop(&active)
		}
		if len(active) == 0 {
			if i == len(sorted) {
				return out
			}
			at = max(at, sorted[i].Start)
		}
		for ; i < len(sorted) && sorted[i].Start <= at; i++ {
			if sorted[i].End() > at {
				heap.Push(&active, sorted[i])
			}
		}
		if len(active) == 0 || active[0].End() <= at {
			continue
		}
		// The winner stays until it ends, or a piece begins that may beat it.
		end := active[0].End()
		if i < len(sorted) {
			end = min(end, sorted[i].Start)
		}
		out = Append(out, active[0].Part(at, end-at))
		at = end
	}
}

// byOrder is a heap of pieces, the one that is believed on top.
type byOrder []Piece

func (h byOrder) Len() int           { return len(h) }
func (h byOrder) Less(i, j int) bool { return h[i].Order < h[j].Order }
func (h byOrder) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *byOrder) Push(x any) {
	if p, ok := x.(Piece); ok {
		*h = append(*h, p)
	}
}

func (h *byOrder) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
