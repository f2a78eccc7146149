package xen

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestCompact: memory that was sent many times takes no more room than what there is of
// it, and the right copy counts.
func TestCompact(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		x := &index{file: &file{has: physmem.NewLength(physmem.NewSource("", nil, 1<<40))}, most: 64, later: later}
		rng := rand.New(rand.NewPCG(1, 2))
		want := map[uint64]int64{}
		for i := range uint64(20000) {
			page, off := rng.Uint64N(40), i*physmem.PageSize*2
			if err := x.add(page, off); err != nil || len(x.pieces) > 64 {
				require.Fail(t, "not compacted", "%d pieces, %v", len(x.pieces), err)
			}
			if _, there := want[page]; later || !there {
				want[page] = int64(off)
			}
		}
		got := map[uint64]int64{}
		for _, e := range x.resolve() {
			for at := uint64(0); at < e.Size; at += physmem.PageSize {
				got[(e.Start+at)/physmem.PageSize] = e.Offset + int64(at)
			}
		}
		assert.Equal(t, want, got)
	}
}

// TestTooManyPieces: memory in more pieces than are kept is refused by name.
func TestTooManyPieces(t *testing.T) {
	t.Parallel()
	x := &index{file: &file{has: physmem.NewLength(physmem.NewSource("", nil, 1<<40))}, most: 64}
	var err error
	for i := uint64(0); i < 100 && err == nil; i++ {
		err = x.add(2*i, i*physmem.PageSize)
	}
	var format *physmem.FormatError
	require.ErrorAs(t, err, &format)
	assert.Contains(t, err.Error(), "memory in more than 0x40 pieces, want at most 0x40")
}
