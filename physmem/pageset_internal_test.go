package physmem

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// naiveSet is what a pageSet must be like.
type naiveSet []bool

func (n naiveSet) bitmap() []byte {
	b := make([]byte, (len(n)+7)/8)
	for i, v := range n {
		if v {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// check compares every answer of a set with that of the naive one.
func (n naiveSet) check(t *testing.T, s *pageSet) {
	t.Helper()
	rank, runs := uint64(0), uint64(0)
	next, end := make([]uint64, len(n)+1), make([]uint64, len(n)+1)
	next[len(n)], end[len(n)] = math.MaxUint64, uint64(len(n))
	for i := len(n) - 1; i >= 0; i-- {
		next[i], end[i] = next[i+1], uint64(i)
		if n[i] {
			next[i], end[i] = uint64(i), end[i+1]
		}
	}
	for i, v := range n {
		page := uint64(i)
		at, ok := s.next(page)
		if s.has(page) != v || s.rank(page) != rank || ok != (next[i] != math.MaxUint64) || ok && at != next[i] ||
			s.end(page, math.MaxUint64) != end[i] || s.end(page, page+3) != min(end[i], page+3) {
			t.Fatalf("page %d: has %v, rank %d, next %d (%v), end %d, want %v, %d, %d, %d",
				i, s.has(page), s.rank(page), at, ok, s.end(page, math.MaxUint64), v, rank, next[i], end[i])
		}
		if v {
			rank++
			if i == 0 || !n[i-1] {
				runs++
			}
		}
	}
	require.Equal(t, rank, s.count)
	require.Equal(t, runs, s.runCount())
	require.Len(t, s.ranges(), int(runs))
	assert.False(t, s.has(uint64(len(n))))
	assert.False(t, s.has(math.MaxUint64))
	_, ok := s.next(math.MaxUint64)
	assert.False(t, ok)
}

func TestPageSet(t *testing.T) {
	t.Parallel()
	const many = 3*chunkPages + 77
	fill := func(n int, has func(i int) bool) naiveSet {
		s := make(naiveSet, n)
		for i := range s {
			s[i] = has(i)
		}
		return s
	}
	for name, n := range map[string]naiveSet{
		"empty":    fill(many, func(int) bool { return false }),
		"full":     fill(many, func(int) bool { return true }),
		"other":    fill(many, func(i int) bool { return i%2 == 0 }),
		"chunks":   fill(many, func(i int) bool { return i/chunkPages%2 == 0 }),
		"straddle": fill(many, func(i int) bool { return (i+9)/chunkPages%2 == 0 }),
		"last":     fill(many, func(i int) bool { return i == many-1 }),
		"mixed":    fill(many, func(i int) bool { return i*i%7 < 3 || i > chunkPages && i < 2*chunkPages }),
		"one":      {true},
		"nine":     {false, true, false, false, true, true, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := readPageSet(bytes.NewReader(n.bitmap()), 0, uint64(len(n)))
			require.NoError(t, err)
			n.check(t, s)
			odd := make(naiveSet, len(n))
			rank := uint64(0)
			f := s.filter(func(page, r uint64) bool {
				if r != rank {
					t.Fatalf("rank of page %d: got %d, want %d", page, r, rank)
				}
				rank++
				odd[page] = r%3 == 0
				return odd[page]
			})
			odd.check(t, f)
			n.check(t, s.filter(func(uint64, uint64) bool { return true }))
		})
	}
}

// TestPageSetTail: bits behind the end of a bitmap are nobody's.
func TestPageSetTail(t *testing.T) {
	t.Parallel()
	s, err := readPageSet(bytes.NewReader([]byte{0xff, 0xff, 0xff}), 1, 11)
	require.NoError(t, err)
	assert.EqualValues(t, 11, s.count)
	_, err = readPageSet(bytes.NewReader([]byte{0xff}), 0, 9)
	var re *ReadError
	require.ErrorAs(t, err, &re)
}

// TestPageSetMemory: what a set takes follows its pages and not its span.
func TestPageSetMemory(t *testing.T) {
	s, err := readPageSet(zeros{}, 0, 1<<30) // 4 TiB of nothing
	require.NoError(t, err)
	assert.Zero(t, s.count)
	assert.Len(t, s.chunks, 1<<15)
	for _, c := range s.chunks {
		require.Nil(t, c)
	}
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
