package report_test

import (
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/report"
	"windmp/physmem"
)

const gib = 1 << 30

// draw draws lists of ranges, the first two of which decide what is shown.
func draw(rows ...[]physmem.Range) *report.Picture {
	var list []iter.Seq[physmem.Range]
	for _, r := range rows {
		list = append(list, slices.Values(r))
	}
	return report.Draw(rows[:min(len(rows), 2)], list...)
}

// A picture of a usual guest: the hole below 4 GiB is cut out, and each row has what it
// has.
func TestPicture(t *testing.T) {
	t.Parallel()
	guest := []physmem.Range{{Start: 0x1000, Size: 0x9f000}, {Start: 0x100000, Size: 3*gib - 0x100000}, {Start: 4 * gib, Size: 5 * gib}}
	file := []physmem.Range{{Start: 0, Size: 3 * gib}, {Start: 4 * gib, Size: 4 * gib}}
	p := draw(guest, file, []physmem.Range{{Start: 0x100000, Size: gib}})
	require.Len(t, p.Parts, 2)
	assert.Equal(t, physmem.Range{Size: 3 * gib}, p.Parts[0].Range)
	assert.Equal(t, physmem.Range{Start: 4 * gib, Size: 5 * gib}, p.Parts[1].Range)
	assert.InDelta(t, report.PictureCells, p.Parts[0].Cells+p.Parts[1].Cells, 2)
	require.Len(t, p.Rows, 3)
	assert.Equal(t, physmem.TotalSize(guest), p.Rows[0].Size)
	assert.Equal(t, []uint64{3 * gib, 4 * gib}, p.Rows[1].Parts)
	assert.Equal(t, 2, p.Rows[1].Ranges)
	last := len(p.Rows[1].Cells) - 1
	assert.EqualValues(t, 98, p.Rows[0].Cells[0], "a page is missing of these 32 MiB, and 0xa0000 to 0xfffff")
	assert.EqualValues(t, 100, p.Rows[0].Cells[1])
	assert.EqualValues(t, 100, p.Rows[0].Cells[last])
	assert.EqualValues(t, 100, p.Rows[1].Cells[0])
	assert.Zero(t, p.Rows[1].Cells[last], "the file ends before the guest does")
	assert.Equal(t, []uint64{gib, 0}, p.Rows[2].Parts)
}

// Every second page is half of each column, and not all of it.
func TestPictureShares(t *testing.T) {
	t.Parallel()
	var odd []physmem.Range
	for pa := uint64(0x1000); pa < gib/4; pa += 2 * physmem.PageSize {
		odd = append(odd, physmem.Range{Start: pa, Size: physmem.PageSize})
	}
	p := draw([]physmem.Range{{Size: gib / 4}}, odd)
	require.Len(t, p.Parts, 1)
	for _, have := range p.Rows[1].Cells {
		assert.EqualValues(t, 50, have)
	}
}

// The sums of the parts are what the rows have, whatever the ranges are: at the ends of
// the address space, of a byte, far from each other, many.
func TestPictureOdd(t *testing.T) {
	t.Parallel()
	far := []physmem.Range{}
	for i := range uint64(100) {
		far = append(far, physmem.Range{Start: i << 52, Size: i + 1})
	}
	for name, list := range map[string][]physmem.Range{
		"nothing": {}, "a byte": {{Start: 5, Size: 1}}, "all": {{Size: math.MaxUint64}},
		"the end": {{Start: math.MaxUint64 - 0x1000, Size: 0x1000}}, "far": far,
	} {
		p := draw(list, nil)
		assert.LessOrEqual(t, len(p.Parts), 8, name)
		sum, columns := uint64(0), 0
		for i, part := range p.Parts {
			sum += p.Rows[0].Parts[i]
			assert.Equal(t, columns, part.First, name)
			columns += part.Cells
		}
		assert.Equal(t, physmem.TotalSize(list), sum, name)
		assert.Len(t, p.Rows[0].Cells, columns, name)
		assert.LessOrEqual(t, columns, 2*report.PictureCells, name)
		assert.Equal(t, columns == 0, len(list) == 0, name)
	}
}
