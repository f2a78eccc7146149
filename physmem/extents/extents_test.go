package extents_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
	"windmp/physmem/extents"
)

// TestPlacingKeepsOldState checks that a second state of the memory leaves the
// first one alone.
func TestPlacingKeepsOldState(t *testing.T) {
	t.Parallel()
	f := extents.New(nil, []physmem.Extent{{Range: physmem.Range{Start: 0x1000, Size: 0x1000}, Offset: 0x100}, {Range: physmem.Range{Start: 0x3000, Size: 0x1000}, Offset: 0x2100}})
	c := f.With([]physmem.Extent{{Range: physmem.Range{Start: 0x2000, Size: 0x1000}, Offset: 0x1100, Recovered: true}})
	assert.Len(t, slices.Collect(f.Extents(0)), 2)
	assert.Equal(t, []physmem.Extent{
		{Range: physmem.Range{Start: 0x1000, Size: 0x1000}, Offset: 0x100},
		{Range: physmem.Range{Start: 0x2000, Size: 0x1000}, Offset: 0x1100, Recovered: true},
		{Range: physmem.Range{Start: 0x3000, Size: 0x1000}, Offset: 0x2100},
	}, slices.Collect(c.Extents(0)))
	assert.Equal(t, []physmem.Range{{Start: 0x1000, Size: 0x3000}}, c.Ranges())
}
