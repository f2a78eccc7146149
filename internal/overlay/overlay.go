// Package overlay shows guest-physical memory as it is to be, with edits laid over
// it or with zeros where nothing is known. It never changes what lies below. Each
// view can be read by several goroutines at once.
package overlay

import (
	"cmp"
	"container/heap"
	"io"
	"math"
	"slices"
	"sync"
)

// Memory is guest-physical memory: offsets are physical addresses.
type Memory interface {
	io.ReaderAt
	// NextData returns the first address from pa on that may hold something other
	// than zeros. What lies below it, from pa on, reads as zeros.
	NextData(pa uint64) uint64
}

// Edit is a piece of memory that is different.
type Edit struct {
	// PA is the guest-physical address of Bytes[0].
	PA uint64
	// Bytes is what is there. They end within the address space.
	Bytes []byte
}

// end is the address behind the edit.
func (e *Edit) end() uint64 { return e.PA + uint64(len(e.Bytes)) }

// Overlay is memory with edits.
type Overlay struct {
	below Memory
	edits []Edit // ascending and disjoint

	// The stretch of zeros that was last found below: asking again from each edit
	// in it could cost as much as its length each time.
	hole       sync.Mutex
	from, next uint64
}

// New lays edits over memory. Where two overlap, the later one of the list wins.
// A later look takes time in proportion to the edits it touches, and the logarithm
// of their number.
func New(below Memory, edits []Edit) *Overlay {
	return &Overlay{below: below, edits: flatten(edits)}
}

// ReadAt implements io.ReaderAt. What can't be read below can't be read here.
func (o *Overlay) ReadAt(p []byte, pa int64) (int, error) {
	n, err := o.below.ReadAt(p, pa)
	if pa >= 0 {
		o.apply(p[:n], uint64(pa))
	}
	return n, err
}

// apply changes p, which holds memory from pa on.
func (o *Overlay) apply(p []byte, pa uint64) {
	end := pa + uint64(len(p))
	for i := o.find(pa); i < len(o.edits) && o.edits[i].PA < end; i++ {
		e := &o.edits[i]
		if e.PA >= pa {
			copy(p[e.PA-pa:], e.Bytes)
		} else {
			copy(p, e.Bytes[pa-e.PA:])
		}
	}
}

// find is the index of the first edit that ends above pa.
func (o *Overlay) find(pa uint64) int {
	i, _ := slices.BinarySearchFunc(o.edits, pa, func(e Edit, pa uint64) int {
		if e.end() <= pa {
			return -1
		}
		return 1
	})
	return i
}

// NextData implements Memory. It never passes an edit, whatever that writes.
func (o *Overlay) NextData(pa uint64) uint64 {
	next := uint64(math.MaxUint64)
	if i := o.find(pa); i < len(o.edits) {
		if next = o.edits[i].PA; next <= pa {
			return pa
		}
	}
	return min(next, o.nextBelow(pa))
}

// nextBelow is NextData of what lies below.
func (o *Overlay) nextBelow(pa uint64) uint64 {
	o.hole.Lock()
	defer o.hole.Unlock()
	if pa < o.from || pa >= o.next {
		o.from, o.next = pa, max(pa, o.below.NextData(pa))
	}
	return o.next
}

// flatten returns the same edits ascending, without those parts that a later one
// covers.
func flatten(edits []Edit) []Edit {
	order := make([]int, 0, len(edits))
	for i := range edits {
		if len(edits[i].Bytes) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(edits[a].PA, edits[b].PA) })
	out := make([]Edit, 0, len(order))
	open := &latest{} // the edits that begin at or below at, some of which end there
	for at := uint64(0); len(order) > 0 || open.Len() > 0; {
		for open.Len() > 0 && edits[(*open)[0]].end() <= at {
			heap.Pop(open)
		}
		if open.Len() == 0 {
			if len(order) == 0 {
				break
			}
			at = edits[order[0]].PA
		}
		for len(order) > 0 && edits[order[0]].PA == at {
			heap.Push(open, order[0])
			order = order[1:]
		}
		top := &edits[(*open)[0]]
		end := top.end()
		if len(order) > 0 {
			end = min(end, edits[order[0]].PA)
		}
		out = append(out, Edit{PA: at, Bytes: top.Bytes[at-top.PA : end-top.PA]})
		at = end
	}
	return out
}

// latest is a heap of indices, the largest first.
type latest []int

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i] > h[j] }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *latest) Push(x any) { *h = append(*h, x.(int)) } //nolint:forcetypeassert,errcheck // flatten's own

// Pop implements heap.Interface.
func (h *latest) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
