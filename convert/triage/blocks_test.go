package triage

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

// TestPiecesAreDisjoint: whatever is added, the pieces are ascending and disjoint, hold
// each byte once, and count what the data blocks that they make really have.
func TestPiecesAreDisjoint(t *testing.T) {
	t.Parallel()
	const base uint64 = 0xfffff80000000000
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var p pieces
		var want [0x400]byte
		for range 60 {
			at, size := r.IntN(len(want)-1), 1+r.IntN(40)
			size = min(size, len(want)-at)
			outside := r.IntN(5) == 0
			for _, e := range p.lacking(vtop.VA(base+uint64(at)), uint64(size)) {
				for i := range e.size {
					require.Zero(t, want[uint64(e.va)-base+i], "twice")
					want[uint64(e.va)-base+i] = 1
				}
				if !outside {
					e.data = bytes.Repeat([]byte{2}, int(e.size))
					copy(want[uint64(e.va)-base:], e.data)
				}
				p.add(e)
			}
			require.Empty(t, p.lacking(vtop.VA(base+uint64(at)), uint64(size)))
		}
		blocks := p.dataBlocks()
		assert.Len(t, blocks, p.blocks)
		var got [0x400]byte
		total, last := 0, uint64(0)
		for _, b := range blocks {
			assert.Greater(t, b.Address, last, "two blocks touch or overlap")
			last = b.Address + uint64(len(b.Data))
			copy(got[b.Address-base:], b.Data)
			total += len(b.Data)
		}
		assert.EqualValues(t, p.bytes, total)
		for i := range want {
			assert.Equal(t, want[i] == 2, got[i] == 2, "byte %#x", i)
		}
	}
}

// TestPiecesAtTheTop: the last addresses are addresses as others are.
func TestPiecesAtTheTop(t *testing.T) {
	t.Parallel()
	var p pieces
	const top = vtop.VA(0xfffffffffffff000)
	p.add(piece{va: top, size: 0x1000, data: make([]byte, 0x1000)})
	assert.Empty(t, p.lacking(top+0xfff, 1))
	assert.Equal(t, []piece{{va: top - 8, size: 8}}, p.lacking(top-8, 0x1008))
	assert.Empty(t, p.lacking(top, 0))
}
