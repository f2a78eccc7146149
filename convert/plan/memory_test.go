package plan

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/guest"
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
			assert.Equal(t, tt.want, guest.WithoutPages(tt.runs, tt.missing))
		})
	}
}

func TestBlocksCoverPagesOnce(t *testing.T) {
	t.Parallel()
	for _, m := range []memoryPlan{
		{firstPage: 0x2000, runs: table(1, 3*256+1, 1<<20, 3)},
		{firstPage: 0x2000, runs: table(1, 1, 3, 1, 5, 1)},
		{firstPage: 0x41000, runs: table(0, 1<<13)},
	} {
		m.image = new(physmem.Image) // without holes
		off := m.firstPage
		next := m.runs[0].BasePage * winhdr.PageSize
		run := 0
		for b := range m.blocks(noSkip) {
			assert.Equal(t, off, b.off)
			assert.LessOrEqual(t, b.size, BlockSize)
			assert.Equal(t, off/BlockSize, (off+int64(b.size)-1)/BlockSize, "a block stays between multiples of its size")
			for _, s := range b.spans {
				if end := m.runs[run].BasePage + m.runs[run].PageCount; next == end*winhdr.PageSize {
					run++
					next = m.runs[run].BasePage * winhdr.PageSize
				}
				assert.Equal(t, next, s.pa)
				next += s.size
				off += int64(s.size)
			}
		}
		assert.Equal(t, m.firstPage+int64(guest.PageCount(m.runs)*winhdr.PageSize), off)
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	m := memoryPlan{runs: table(1, 2, 8, 1)}
	assert.True(t, m.contains(0x1000, 0x2000))
	assert.True(t, m.contains(0x2fff, 1))
	assert.False(t, m.contains(0x2fff, 2))
	assert.False(t, m.contains(0xfff, 1))
	assert.False(t, m.contains(0x8000, 1<<63), "a length that would wrap")
	m.kept = newPageSet(m.runs)
	m.kept.add(2)
	assert.True(t, m.contains(0x2ff0, 0x10))
	assert.False(t, m.contains(0x1ff0, 0x20))
}

// TestPageSet holds the set against a map.
func TestPageSet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		s, want := newPageSet(table(1, 200, 300, 64, 1<<40-5, 5)), map[uint64]bool{}
		for range rng.IntN(300) {
			pfn := uint64(rng.IntN(400))
			inside := pfn >= 1 && pfn < 201 || pfn >= 300 && pfn < 364
			assert.Equal(t, inside && !want[pfn], s.add(pfn))
			if inside {
				want[pfn] = true
			}
		}
		got := map[uint64]bool{}
		var last uint64
		for r := range s.all() {
			assert.GreaterOrEqual(t, r.BasePage, last)
			last = r.BasePage + r.PageCount
			for i := range r.PageCount {
				got[r.BasePage+i] = true
				assert.True(t, s.has(r.BasePage+i))
			}
		}
		assert.Equal(t, want, got)
		assert.Equal(t, uint64(len(want)), s.count)
	}
}
