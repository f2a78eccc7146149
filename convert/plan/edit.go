package plan

import (
	"cmp"
	"fmt"
	"slices"

	"windmp/vtop"
)

// Edit is a piece of guest memory that the output holds differently from the
// source. Edits are data: the plan lists them, the copy lays them over the
// pages, the source never changes.
type Edit struct {
	// PA is the guest-physical address of Bytes[0].
	PA uint64
	// VA is the address the guest knows it by.
	VA vtop.VA
	// Bytes is what the output holds there; never empty.
	Bytes []byte
	// Reason says what is written and why.
	Reason string
}

// end is the physical address behind the edit.
func (e *Edit) end() uint64 { return e.PA + uint64(len(e.Bytes)) }

// editsAt splits a write to virtual memory into edits of physical memory: a
// structure may cross pages that lie far apart.
func editsAt(space *vtop.Space, va vtop.VA, b []byte, reason string) ([]Edit, error) {
	pieces, err := space.Pieces(va, uint64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reason, err)
	}
	edits := make([]Edit, 0, len(pieces))
	for _, p := range pieces {
		edits = append(edits, Edit{PA: uint64(p.PA), VA: p.VA, Bytes: b[:p.Size], Reason: reason})
		b = b[p.Size:]
	}
	return edits, nil
}

// overlay lays edits over buffers of guest-physical memory.
type overlay struct {
	edits   []Edit // by PA
	longest uint64 // of any edit, in bytes
}

// newOverlay sorts the edits; where two overlap, the one planned later wins.
func newOverlay(edits []Edit) *overlay {
	o := &overlay{edits: slices.Clone(edits)}
	slices.SortStableFunc(o.edits, func(a, b Edit) int { return cmp.Compare(a.PA, b.PA) })
	for _, e := range o.edits {
		o.longest = max(o.longest, uint64(len(e.Bytes)))
	}
	return o
}

// apply changes buf, which holds memory from pa on. It is safe for concurrent
// use with different buffers.
func (o *overlay) apply(buf []byte, pa uint64) {
	from := pa - min(pa, o.longest)
	i, _ := slices.BinarySearchFunc(o.edits, from, func(e Edit, pa uint64) int { return cmp.Compare(e.PA, pa) })
	end := pa + uint64(len(buf))
	for ; i < len(o.edits) && o.edits[i].PA < end; i++ {
		e := &o.edits[i]
		if e.end() <= pa {
			continue
		}
		if e.PA >= pa {
			copy(buf[e.PA-pa:], e.Bytes)
		} else {
			copy(buf, e.Bytes[pa-e.PA:])
		}
	}
}
