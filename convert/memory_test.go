package convert

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
	"windmp/winhdr"
)

// table is a run table: base and count of each run, in pages.
func table(pairs ...uint64) []winhdr.PhysicalMemoryRun64 {
	var list []winhdr.PhysicalMemoryRun64
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, winhdr.PhysicalMemoryRun64{BasePage: pairs[i], PageCount: pairs[i+1]})
	}
	return list
}

func TestWithoutPages(t *testing.T) {
	t.Parallel()
	const page = winhdr.PageSize
	tests := []struct {
		name    string
		runs    []winhdr.PhysicalMemoryRun64
		missing []physmem.Range
		want    []winhdr.PhysicalMemoryRun64
	}{
		{"nothing missing", table(1, 10), nil, table(1, 10)},
		{"a page inside", table(1, 10), []physmem.Range{{Start: 4 * page, Size: page}}, table(1, 3, 5, 6)},
		{"one byte costs its page", table(1, 10), []physmem.Range{{Start: 4*page + 5, Size: 1}}, table(1, 3, 5, 6)},
		{"two gaps in a page", table(1, 10), []physmem.Range{{Start: 4 * page, Size: 1}, {Start: 4*page + 9, Size: 1}}, table(1, 3, 5, 6)},
		{"begin and end", table(1, 10), []physmem.Range{{Start: page, Size: page}, {Start: 10 * page, Size: page}}, table(2, 8)},
		{"a whole run", table(1, 2, 8, 4), []physmem.Range{{Start: page, Size: 2 * page}}, table(8, 4)},
		{"across two runs", table(1, 4, 5, 4), []physmem.Range{{Start: 3 * page, Size: 2 * page}, {Start: 5 * page, Size: page}}, table(1, 2, 6, 3)},
		{"all", table(1, 2), []physmem.Range{{Start: page, Size: 2 * page}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, withoutPages(tt.runs, tt.missing))
		})
	}
}

func TestBlocksCoverSpansOnce(t *testing.T) {
	t.Parallel()
	m := memoryPlan{spans: []span{
		{off: 0x2000, pa: 0x1000, size: 3*blockSize + 0x1000},
		{off: 0x2000 + 3*blockSize + 0x1000, pa: 1 << 40, size: 0x3000, absent: true},
	}}
	off := int64(0x2000)
	for b := range m.blocks {
		assert.Equal(t, off, b.off)
		assert.LessOrEqual(t, b.size, uint64(blockSize))
		assert.Equal(t, off/blockSize, (off+int64(b.size)-1)/blockSize, "a block stays between multiples of its size")
		off += int64(b.size)
	}
	assert.Equal(t, int64(0x2000+3*blockSize+0x4000), off)
}

func TestContains(t *testing.T) {
	t.Parallel()
	m := memoryPlan{runs: table(1, 2, 8, 1)}
	assert.True(t, m.contains(0x1000, 0x2000))
	assert.True(t, m.contains(0x2fff, 1))
	assert.False(t, m.contains(0x2fff, 2))
	assert.False(t, m.contains(0xfff, 1))
	assert.False(t, m.contains(0x8000, 1<<63), "a length that would wrap")
}
