package physmem_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"windmp/internal/testtime"
	"windmp/physmem"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	got := physmem.Normalize([]physmem.Range{{Start: 5, Size: 0}, {Start: 0x20, Size: 0x10}, {Start: ^uint64(0), Size: 2}, {Start: 0x10, Size: 0x10}, {Start: 0x12, Size: 2}, {Start: 0x40, Size: 1}})
	assert.Equal(t, []physmem.Range{{Start: 0x10, Size: 0x20}, {Start: 0x40, Size: 1}}, got)
	assert.Empty(t, physmem.Normalize(nil))
}

func TestRange(t *testing.T) {
	t.Parallel()
	r := physmem.Range{Start: 0x10, Size: 0x10}
	assert.Equal(t, uint64(0x20), r.End())
	assert.Equal(t, "[0x10, 0x20)", r.String())
	assert.True(t, r.Contains(0x10))
	assert.True(t, r.Contains(0x1f))
	assert.False(t, r.Contains(0xf))
	assert.False(t, r.Contains(0x20))
}

// TestRangesHostile: each of many ranges is looked up among many, which takes several
// times the limit where all of them are compared.
func TestRangesHostile(t *testing.T) {
	t.Parallel()
	const n = 1 << 17
	list := make([]physmem.Range, n)
	for i := range list {
		list[i] = physmem.Range{Start: uint64(4 * i), Size: 2}
	}
	end := time.Now().Add(testtime.Limit(2 * time.Second))
	for i := range list {
		at := physmem.Range{Start: uint64(4 * i), Size: 3}
		if lacks, has := physmem.Subtract(at, list), physmem.Within(list, at); len(lacks) != 1 || len(has) != 1 || i%1024 == 0 && time.Now().After(end) {
			t.Fatalf("range %d of %d: lacks %v, has %v", i, n, lacks, has)
		}
	}
}
