package physmem

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPaintAgainstModel places random PT_LOADs and compares every byte with a
// map filled in file order, in which what is there stays.
func TestPaintAgainstModel(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var loads loadTable
		var odd oddities
		model := map[uint64]int64{}
		agree := true
		for range 1 + rnd.IntN(8) {
			e := Extent{
				Range:  Range{Start: rnd.Uint64N(40), Size: 1 + rnd.Uint64N(15)},
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
		require.Equal(t, agree, len(odd.all()) == 0)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	got := normalize([]Range{{5, 0}, {0x20, 0x10}, {^uint64(0), 2}, {0x10, 0x10}, {0x12, 2}, {0x40, 1}})
	assert.Equal(t, []Range{{0x10, 0x20}, {0x40, 1}}, got)
	assert.Empty(t, normalize(nil))
}

func TestRange(t *testing.T) {
	t.Parallel()
	r := Range{Start: 0x10, Size: 0x10}
	assert.Equal(t, uint64(0x20), r.End())
	assert.Equal(t, "[0x10, 0x20)", r.String())
	assert.True(t, r.Contains(0x10))
	assert.True(t, r.Contains(0x1f))
	assert.False(t, r.Contains(0xf))
	assert.False(t, r.Contains(0x20))
}

// TestPlacingKeepsOldState checks that a second state of the memory leaves the
// first one alone.
func TestPlacingKeepsOldState(t *testing.T) {
	t.Parallel()
	f := newFlat(nil, []Extent{{Range: Range{0x1000, 0x1000}, Offset: 0x100}, {Range: Range{0x3000, 0x1000}, Offset: 0x2100}})
	c := f.clone()
	c.place([]Extent{{Range: Range{0x2000, 0x1000}, Offset: 0x1100, Recovered: true}})
	assert.Len(t, f.extents(), 2)
	assert.Equal(t, []Extent{
		{Range: Range{0x1000, 0x1000}, Offset: 0x100},
		{Range: Range{0x2000, 0x1000}, Offset: 0x1100, Recovered: true},
		{Range: Range{0x3000, 0x1000}, Offset: 0x2100},
	}, c.extents())
	assert.Equal(t, []Range{{0x1000, 0x3000}}, c.ranges())
}
