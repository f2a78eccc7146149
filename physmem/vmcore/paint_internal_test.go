package vmcore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestPaintAgainstModel places random PT_LOADs and compares every byte with a
// map filled in file order, in which what is there stays.
func TestPaintAgainstModel(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	rounds := 600
	if !testing.Short() {
		rounds = 20000 // half a second
	}
	for range rounds {
		var loads loadTable
		var odd physmem.Oddities
		model := map[uint64]int64{}
		agree := true
		for range 1 + rnd.IntN(8) {
			e := physmem.Extent{
				Range:  physmem.Range{Start: rnd.Uint64N(40), Size: 1 + rnd.Uint64N(15)},
				Offset: int64(rnd.Uint64N(3))*100 + 1000,
			}
			e.Offset += int64(e.Start)
			for i := range e.Size {
				if old, ok := model[e.Start+i]; ok {
					agree = agree && old == e.Offset+int64(i)
					continue
				}
				model[e.Start+i] = e.Offset + int64(i)
			}
			loads.insert(e)
		}
		list := loads.extents(&odd)
		got := map[uint64]int64{}
		end := uint64(0)
		for i, e := range list {
			require.True(t, i == 0 || e.Start >= end, "sorted and disjoint")
			end = e.End()
			for j := range e.Size {
				got[e.Start+j] = e.Offset + int64(j)
			}
		}
		require.Equal(t, model, got)
		require.Equal(t, agree, !loads.clashing)
		require.Equal(t, agree, len(odd.All()) == 0)
	}
}
