package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
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

// TestSpaceNeeded: a sparse output of a sparse source needs room for the data.
func TestSpaceNeeded(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	im, err := physmemtest.OpenReader(hollow{}, size, open.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	p := &Plan{Size: size + 0x2000, memory: memoryPlan{
		image: im, firstPage: 0x2000, runs: []winhdr.PhysicalMemoryRun64{{PageCount: size / winhdr.PageSize}},
	}}
	assert.Equal(t, p.Size, p.spaceNeeded(WriteOptions{Sparse: SparseNever}))
	want := p.Size - 56<<20
	assert.InDelta(t, want, p.spaceNeeded(WriteOptions{Sparse: SparseAuto}), 128<<10)
	assert.GreaterOrEqual(t, p.spaceNeeded(WriteOptions{}), want)

	assert.Equal(t, []physmem.Range{{Size: 4<<20 + winhdr.PageSize}, {Start: 60<<20 - winhdr.PageSize, Size: 4<<20 + winhdr.PageSize}}, guest.DataRanges(im))
}
