package search

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// hollow is raw memory of zeros with a hole from 4 to 60 MiB.
type hollow struct{}

func (hollow) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (hollow) NextData(off int64) int64 {
	if off >= 4<<20 && off < 60<<20 {
		return 60 << 20
	}
	return off
}

// TestDataRanges: a page at either side of a hole is kept.
func TestDataRanges(t *testing.T) {
	t.Parallel()
	im, err := physmemtest.OpenReader(hollow{}, 64<<20, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	assert.Equal(t, []physmem.Range{{Size: 4<<20 + physmem.PageSize}, {Start: 60<<20 - physmem.PageSize, Size: 4<<20 + physmem.PageSize}}, DataRanges(im))
}

// scattered is raw memory that holds a page at each multiple of a power of two.
type scattered struct {
	hollow
	apart int64
}

func (s scattered) NextData(off int64) int64 {
	if off%s.apart < physmem.PageSize {
		return off
	}
	return off&^(s.apart-1) + s.apart
}

// TestDataRangesOfLittle: where a file holds a little here and there, little is searched.
func TestDataRangesOfLittle(t *testing.T) {
	t.Parallel()
	im, err := physmemtest.OpenReader(scattered{apart: 1 << 20}, 64<<20, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	list := DataRanges(im)
	assert.Len(t, list, 64)
	for i, r := range list {
		assert.True(t, r.Contains(uint64(i)<<20), "%v", r)
	}
	assert.LessOrEqual(t, physmem.TotalSize(list), uint64(64*(leastHole+2*physmem.PageSize)))
}

// TestDataRangesAreFew: however many a file claims, those that are kept are not.
func TestDataRangesAreFew(t *testing.T) {
	t.Parallel()
	const size, apart = 3 * manyRanges << 17, 1 << 17
	im, err := physmemtest.OpenReader(scattered{apart: apart}, size, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	list := DataRanges(im)
	require.Len(t, list, manyRanges+1)
	last := list[len(list)-1]
	assert.Equal(t, uint64(size), last.End(), "the rest is searched whole")
}
