package guestsim

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestFrames: the pages come in the order of a list that was shuffled at once, each of
// them once.
func TestFrames(t *testing.T) {
	t.Parallel()
	runs := []Range{{Start: 0x1000, Size: 0x9f000}, {Start: 0x100000, Size: 0x200800}, {Start: 0x800000, Size: 0x1000}}
	var all []uint64
	for _, r := range runs {
		for pa := r.Start; pa+pageSize <= r.End(); pa += pageSize {
			all = append(all, pa)
		}
	}
	rng := rand.New(rand.NewPCG(7, 0x6775657374))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	f := newFrames(runs, 7)
	got := make([]uint64, len(all))
	for i := range got {
		got[len(got)-1-i] = f.next()
	}
	assert.Equal(t, all, got)
	assert.Panics(t, func() { f.next() })
}

// TestFramesBelow takes all pages below an address, each of them once.
func TestFramesBelow(t *testing.T) {
	t.Parallel()
	f := newFrames([]Range{{Start: 0x1000, Size: 0x4000}, {Start: 0x100000, Size: 0x200000}}, 7)
	var got []uint64
	for range 4 {
		got = append(got, f.below(1<<20))
	}
	assert.ElementsMatch(t, []uint64{0x1000, 0x2000, 0x3000, 0x4000}, got)
	assert.Panics(t, func() { f.below(1 << 20) })
}
