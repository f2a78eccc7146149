package physmem_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/testtime"
	"windmp/physmem"
)

// runs makes a set: base and count of each run.
func runs(pairs ...uint64) physmem.Runs {
	var list physmem.Runs
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, physmem.Run{BasePage: pairs[i], PageCount: pairs[i+1]})
	}
	return list
}

func TestRun(t *testing.T) {
	t.Parallel()
	r := physmem.Run{BasePage: 2, PageCount: 3}
	assert.EqualValues(t, 5, r.End())
	assert.Equal(t, physmem.Range{Start: 0x2000, Size: 0x3000}, r.Range())
	assert.Equal(t, "pages [0x2, 0x5)", r.String())
	for _, tt := range []struct {
		run   physmem.Run
		valid bool
	}{
		{physmem.Run{}, false},
		{physmem.Run{PageCount: 1}, true},
		{physmem.Run{PageCount: 1<<52 - 1}, true},
		{physmem.Run{PageCount: 1 << 52}, false},
		{physmem.Run{BasePage: 1<<52 - 2, PageCount: 1}, true},
		{physmem.Run{BasePage: 1<<52 - 2, PageCount: 2}, false},
		{physmem.Run{BasePage: math.MaxUint64, PageCount: 2}, false},
		{physmem.Run{BasePage: 2, PageCount: math.MaxUint64}, false},
	} {
		assert.Equal(t, tt.valid, tt.run.Valid(), "%+v", tt.run)
		assert.Equal(t, tt.valid, physmem.Runs{tt.run}.Check() == nil, "%+v", tt.run)
	}
	assert.Equal(t, physmem.Run{BasePage: 1, PageCount: 2}, physmem.RunOf(physmem.Range{Start: 1, Size: 0x3000}))
	assert.Zero(t, physmem.RunOf(physmem.Range{Start: 1, Size: 0x1ffe}).PageCount)
	assert.Equal(t, physmem.Run{BasePage: 1<<52 - 1}, physmem.RunOf(physmem.Range{Start: 1<<64 - 0x1000, Size: 0xfff}))
	require.NoError(t, runs(1, 2, 3, 1, 8, 1).Check())
	assert.ErrorContains(t, runs(1, 2, 2, 1).Check(), "run 1")
}

func TestRunsWithout(t *testing.T) {
	t.Parallel()
	const page = physmem.PageSize
	tests := []struct {
		name    string
		runs    physmem.Runs
		missing []physmem.Range
		want    physmem.Runs
	}{
		{"nothing missing", runs(1, 10), nil, runs(1, 10)},
		{"a page inside", runs(1, 10), []physmem.Range{{Start: 4 * page, Size: page}}, runs(1, 3, 5, 6)},
		{"one byte costs its page", runs(1, 10), []physmem.Range{{Start: 4*page + 5, Size: 1}}, runs(1, 3, 5, 6)},
		{"two gaps in a page", runs(1, 10), []physmem.Range{{Start: 4 * page, Size: 1}, {Start: 4*page + 9, Size: 1}}, runs(1, 3, 5, 6)},
		{"begin and end", runs(1, 10), []physmem.Range{{Start: page, Size: page}, {Start: 10 * page, Size: page}}, runs(2, 8)},
		{"a whole run", runs(1, 2, 8, 4), []physmem.Range{{Start: page, Size: 2 * page}}, runs(8, 4)},
		{"across two runs", runs(1, 4, 5, 4), []physmem.Range{{Start: 3 * page, Size: 2 * page}, {Start: 5 * page, Size: page}}, runs(1, 2, 6, 3)},
		{"one range, three runs", runs(1, 2, 4, 2, 8, 2), []physmem.Range{{Start: 2 * page, Size: 7 * page}}, runs(1, 1, 9, 1)},
		{"before and behind", runs(4, 2), []physmem.Range{{Start: 2 * page, Size: page}, {Start: 7 * page, Size: page}}, runs(4, 2)},
		{"all", runs(1, 2), []physmem.Range{{Start: page, Size: 2 * page}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, tt.runs.Without(tt.missing))
		})
	}
}

func TestRunsContains(t *testing.T) {
	t.Parallel()
	s := runs(1, 2, 3, 1, 8, 1)
	assert.True(t, s.Contains(0x1000, 0x2000))
	assert.True(t, s.Contains(0x2fff, 1))
	assert.True(t, s.Contains(0x2fff, 2), "across two runs that touch")
	assert.False(t, s.Contains(0x3fff, 2))
	assert.False(t, s.Contains(0xfff, 1))
	assert.True(t, s.Contains(0x8000, 0))
	assert.False(t, s.Contains(0x8000, 1<<63), "a length that reaches far")
	assert.False(t, s.Contains(0x8000, math.MaxUint64), "a length that would wrap")
	assert.False(t, physmem.Runs(nil).Contains(0, 1))
}

// TestRunsProperties holds each operation against sets of single pages.
func TestRunsProperties(t *testing.T) {
	t.Parallel()
	const pages = 60
	rng := rand.New(rand.NewPCG(5, 6))
	random := func() (physmem.Runs, [pages]bool) {
		var list physmem.Runs
		var set [pages]bool
		for at := rng.Uint64N(6); ; {
			n := 1 + rng.Uint64N(6)
			if at+n > pages {
				return list, set
			}
			list = append(list, physmem.Run{BasePage: at, PageCount: n})
			for i := range n {
				set[at+i] = true
			}
			at += n + rng.Uint64N(4)
		}
	}
	setOf := func(list physmem.Runs) (set [pages]bool) {
		require.NoError(t, list.Check())
		for _, r := range list {
			for i := range r.PageCount {
				set[r.BasePage+i] = true
			}
		}
		return set
	}
	for range 500 {
		a, inA := random()
		b, inB := random()
		var less, contained [pages]bool
		count := uint64(0)
		for i := range pages {
			less[i] = inA[i] && !inB[i]
			if inA[i] {
				count++
			}
			contained[i] = a.Contains(uint64(i)*physmem.PageSize+7, 1)
		}
		assert.Equal(t, inA, contained)
		assert.Equal(t, less, setOf(a.Without(b.Ranges())))
		assert.Equal(t, count, a.Pages())
		joined := a.Join()
		assert.Equal(t, inA, setOf(joined))
		for i := 1; i < len(joined); i++ {
			assert.Greater(t, joined[i].BasePage, joined[i-1].End())
		}
		assert.Equal(t, a, physmem.RunsOf(a.Ranges()))
	}
}

// TestRunsHostile: many runs against as many ranges, which takes five times the limit where
// each is compared with each.
func TestRunsHostile(t *testing.T) {
	t.Parallel()
	const n = 1 << 17
	list := make(physmem.Runs, n)
	missing := make([]physmem.Range, n)
	for i := range uint64(n) {
		list[i] = physmem.Run{BasePage: 4 * i, PageCount: 3}
		missing[i] = physmem.Range{Start: (4*i + 1) * physmem.PageSize, Size: physmem.PageSize}
	}
	begun := time.Now()
	assert.Len(t, list.Without(missing), 2*n)
	for i := range uint64(n) {
		if !list.Contains((4*i+1)*physmem.PageSize, physmem.PageSize) {
			t.Fatal(i)
		}
	}
	assert.Less(t, time.Since(begun), testtime.Limit(2*time.Second))
}
