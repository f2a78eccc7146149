package triage

import (
	"slices"

	"windmp/vtop"
	"windmp/winhdr/triagefile"
)

// piece is memory that the dump holds: of one that is held in a part of its own, and
// not in a data block, only the place is kept.
type piece struct {
	va   vtop.VA
	size uint64 // bytes
	data []byte // nil of one that is held elsewhere
}

// end is the address behind the piece, 0 for one at the end of the addresses.
func (p *piece) end() vtop.VA { return p.va + vtop.VA(p.size) }

// last is its last address.
func (p *piece) last() vtop.VA { return p.end() - 1 }

// touches tells whether next goes on where p ends, in a data block as p is.
func (p *piece) touches(next *piece) bool {
	return p.data != nil && next.data != nil && p.end() == next.va && p.end() != 0
}

// pieces are disjoint, ascending.
type pieces struct {
	list []piece
	// blocks is how many data blocks they make: those that touch are in one.
	blocks int
	bytes  int64 // in them
}

// after is the index of the first piece that ends behind va.
func (p *pieces) after(va vtop.VA) int {
	i, _ := slices.BinarySearchFunc(p.list, va, func(e piece, va vtop.VA) int {
		if e.last() < va {
			return -1
		}
		return 1
	})
	return i
}

// lacking are the parts of a range that are not held, without data. The range ends
// within the addresses.
func (p *pieces) lacking(va vtop.VA, size uint64) []piece {
	if size == 0 {
		return nil
	}
	var out []piece
	last := va + vtop.VA(size-1)
	for _, e := range p.list[p.after(va):] {
		if e.va > last {
			break
		}
		if e.va > va {
			out = append(out, piece{va: va, size: uint64(e.va - va)})
		}
		if e.last() >= last {
			return out
		}
		va = e.end()
	}
	return append(out, piece{va: va, size: uint64(last-va) + 1})
}

// cost is how many bytes the dump grows by pieces that are not held yet, with what a
// block takes in the table.
func (p *pieces) cost(list []piece, entry int) int64 {
	var n int64
	for i := range list {
		n += int64(len(list[i].data))
		if i == 0 || !list[i-1].touches(&list[i]) {
			n += int64(entry)
		}
	}
	return n
}

// add inserts a piece that is not held.
func (p *pieces) add(e piece) {
	i := p.after(e.va)
	if e.data != nil {
		p.bytes += int64(len(e.data))
		p.blocks++
		before := i > 0 && p.list[i-1].touches(&e)
		behind := i < len(p.list) && e.touches(&p.list[i])
		if before {
			p.blocks--
		}
		if behind {
			p.blocks--
		}
	}
	p.list = slices.Insert(p.list, i, e)
}

// dataBlocks are the pieces as the dump has them.
func (p *pieces) dataBlocks() []triagefile.Block {
	out := make([]triagefile.Block, 0, p.blocks)
	for i := range p.list {
		e := &p.list[i]
		if e.data == nil {
			continue
		}
		if i > 0 && p.list[i-1].touches(e) {
			b := &out[len(out)-1]
			b.Data = append(b.Data, e.data...)
			continue
		}
		out = append(out, triagefile.Block{Address: uint64(e.va), Data: slices.Clip(e.data)})
	}
	return out
}
