package pageset

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "windmp/internal/testheap"
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

// check compares every answer of a set with that of the naive one. With -short those for
// which it counts are asked of some pages alone, each bit of a word among them.
func (n naiveSet) check(t *testing.T, s *Set) {
	t.Helper()
	step := 1
	if testing.Short() {
		step = 19
	}
	rank, runs := uint64(0), uint64(0)
	ranks := NewRanks(s)
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
		at, ok := s.Next(page)
		if s.Has(page) != v || ok != (next[i] != math.MaxUint64) || ok && at != next[i] ||
			s.End(page, math.MaxUint64) != end[i] || s.End(page, page+3) != min(end[i], page+3) {
			t.Fatalf("page %d: has %v, next %d (%v), end %d, want %v, %d, %d",
				i, s.Has(page), at, ok, s.End(page, math.MaxUint64), v, next[i], end[i])
		}
		if i%step == 0 && ranks.Rank(page) != rank {
			t.Fatalf("page %d: rank %d, want %d", i, ranks.Rank(page), rank)
		}
		if v {
			if rank%uint64(step) == 0 {
				if first, count := ranks.Members(rank, 3); first != page || count != min(end[i], page+3)-page {
					t.Fatalf("page %d, number %d: %d members from %d on", i, rank, count, first)
				}
			}
			rank++
			if i == 0 || !n[i-1] {
				runs++
			}
		}
	}
	require.Equal(t, rank, s.Count())
	require.Equal(t, runs, s.RunCount())
	at := uint64(0)
	for first, behind := range s.Runs() {
		if next[at] != first || end[first] != behind {
			t.Fatalf("run from %d: [%d, %d)", at, first, behind)
		}
		at = behind
		runs--
	}
	require.Zero(t, runs)
	assert.Equal(t, s.Count(), ranks.Rank(math.MaxUint64))
	assert.False(t, s.Has(uint64(len(n))))
	assert.False(t, s.Has(math.MaxUint64))
	_, ok := s.Next(math.MaxUint64)
	assert.False(t, ok)
}

func TestPageSet(t *testing.T) {
	t.Parallel()
	const many = 2*chunkPages + 77
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
		"edges":    fill(many, func(i int) bool { return i%chunkPages < 2*maxEdges && i%2 == 0 }),
		"few":      fill(many, func(i int) bool { return i%chunkPages < maxEdges && i%2 == 0 }),
		"ends":     fill(many, func(i int) bool { return i%chunkPages == 0 || i%chunkPages == chunkPages-1 }),
		"nine":     {false, true, false, false, true, true, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Read(t.Context(), bytes.NewReader(n.bitmap()), 0, uint64(len(n)), math.MaxUint64)
			require.NoError(t, err)
			n.check(t, s)
			odd := make(naiveSet, len(n))
			rank := uint64(0)
			f := s.Filter(func(page, r uint64) bool {
				if r != rank {
					t.Fatalf("rank of page %d: got %d, want %d", page, r, rank)
				}
				rank++
				odd[page] = r%3 == 0
				return odd[page]
			})
			odd.check(t, f)
			assert.True(t, reflect.DeepEqual(s, s.Filter(func(uint64, uint64) bool { return true })))
			added := new(Set)
			for i := range n { // not in order
				page := uint64(i*7919) % uint64(len(n))
				if n[page] {
					if added.Add(page); added.Add(page) {
						t.Fatalf("page %d is added twice", page)
					}
				}
			}
			if len(n)%7919 != 0 {
				assert.Equal(t, s.Count(), added.Count())
				for first, behind := range s.Runs() {
					if end := added.End(first, math.MaxUint64); end != behind {
						t.Fatalf("the run from %d ends at %d, not %d", first, end, behind)
					}
				}
			}
		})
	}
}

// TestPageSetTail: bits behind the end of a bitmap are nobody's.
func TestPageSetTail(t *testing.T) {
	t.Parallel()
	s, err := Read(t.Context(), bytes.NewReader([]byte{0xff, 0xff, 0xff}), 1, 11, 1)
	require.NoError(t, err)
	assert.EqualValues(t, 11, s.Count())
	_, err = Read(t.Context(), bytes.NewReader([]byte{0xff}), 0, 9, 1)
	var re *ReadError
	require.ErrorAs(t, err, &re)
}

// TestPageSetMemory: what a set takes follows its runs and not its span, and a
// bitmap with more of them than allowed is not read to its end.
func TestPageSetMemory(t *testing.T) {
	const bits = 1 << 28 // 32 MiB of bitmap, 1 TiB of memory
	for name, tt := range map[string]struct {
		bitmap pattern
		count  uint64
		limit  uint64 // bytes
	}{
		"nothing":         {pattern{}, 0, 1 << 20},
		"all":             {pattern{fill: 0xff, every: 1}, bits, 1 << 20},
		"a page in 32768": {pattern{fill: 1, every: chunkPages / 8}, bits / chunkPages, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			var s *Set
			took := allocated(func() {
				var err error
				s, err = Read(t.Context(), tt.bitmap, 0, bits, 1<<24)
				require.NoError(t, err)
			})
			assert.Equal(t, tt.count, s.Count())
			assert.Less(t, took, tt.limit)
		})
	}
	t.Run("too many runs", func(t *testing.T) {
		took := allocated(func() {
			_, err := Read(t.Context(), pattern{fill: 0x55, every: 1}, 0, bits, 1<<20)
			require.ErrorIs(t, err, ErrTooManyRuns)
		})
		assert.Less(t, took, uint64(4<<20))
	})
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// pattern is a file without an end, of zeros but for a byte in every so many.
type pattern struct {
	fill  byte
	every int64 // 0 for none
}

func (f pattern) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if f.every > 0 {
		for i := (f.every - off%f.every) % f.every; i < int64(len(p)); i += f.every {
			p[i] = f.fill
		}
	}
	return len(p), nil
}

// TestAddRun: what is full is not gone through again.
func TestAddRun(t *testing.T) {
	t.Parallel()
	s := new(Set)
	s.AddRun(5, 1<<24)
	assert.EqualValues(t, 1<<24-5, s.Count())
	assert.Len(t, s.chunks, 1<<24/chunkPages)
	for i, c := range s.chunks {
		if i > 0 {
			assert.Same(t, fullChunk, c)
		}
	}
	s.AddRun(0, 1<<24)
	assert.Same(t, fullChunk, s.chunks[0])
	s.AddRun(7, 7)
	assert.EqualValues(t, 1<<24, s.Count())
	assert.Equal(t, chunkPages, fullChunk.count)
	end := s.End(0, 1<<30)
	assert.EqualValues(t, 1<<24, end)
}

// TestSubset holds a set out of a table against a map.
func TestSubset(t *testing.T) {
	t.Parallel()
	table := [][2]uint64{{1, 201}, {300, 364}, {364, 370}, {1<<40 - 5, 1 << 40}}
	runs := func(yield func(first, behind uint64) bool) {
		for _, r := range table {
			if !yield(r[0], r[1]) {
				return
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	empty := NewSubset(runs)
	for range 100 {
		s, want := empty.Empty(), map[uint64]bool{}
		for range rng.IntN(300) {
			page := rng.Uint64N(400)
			inside := page >= 1 && page < 201 || page >= 300 && page < 370
			assert.Equal(t, inside && !want[page], s.Add(page))
			if inside {
				want[page] = true
			}
		}
		if first := rng.Uint64N(400); rng.IntN(2) == 0 {
			behind := first + rng.Uint64N(200)
			s.AddRun(first, behind)
			for page := first; page < behind; page++ {
				if page >= 1 && page < 201 || page >= 300 && page < 370 {
					want[page] = true
				}
			}
		}
		if rng.IntN(2) == 0 {
			assert.True(t, s.Add(1<<40-1))
			want[1<<40-1] = true
		}
		got := map[uint64]bool{}
		var last uint64
		for first, behind := range s.Runs() {
			assert.GreaterOrEqual(t, first, last)
			assert.False(t, first < 364 && behind > 364, "a run of the table ends")
			last = behind
			for page := first; page < behind; page++ {
				got[page] = true
				assert.True(t, s.Has(page))
			}
		}
		assert.Equal(t, want, got)
		assert.EqualValues(t, len(want), s.Count())
		assert.False(t, s.Has(250))
	}
}

// BenchmarkSubset puts a million scattered pages of a guest of 64 GiB into a set,
// and goes through it.
func BenchmarkSubset(b *testing.B) {
	const pages, step = 1 << 24, 0x9e3779b1
	for b.Loop() {
		s := NewSubset(func(yield func(first, behind uint64) bool) { yield(0, pages) })
		at := uint64(0)
		for range 1 << 20 {
			at = (at + step) % pages
			s.Add(at)
		}
		n := uint64(0)
		for first, behind := range s.Runs() {
			n += behind - first
		}
		if n != s.Count() {
			b.Fatal(n)
		}
	}
}

// BenchmarkRead reads the bitmap of a guest of 1 TiB.
func BenchmarkRead(b *testing.B) {
	const bits = 1 << 28
	for name, f := range map[string]pattern{"all": {0xff, 1}, "every second": {0x55, 1}, "few": {1, 512}} {
		bitmap := make([]byte, bits/8)
		_, _ = f.ReadAt(bitmap, 0)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bits / 8)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read(b.Context(), bytes.NewReader(bitmap), 0, bits, bits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFirst: the lowest members, without a look at each.
func TestFirst(t *testing.T) {
	t.Parallel()
	s := new(Set)
	s.AddRun(3, 10)
	s.AddRun(1<<15-2, 1<<15+5)
	s.AddRun(1<<20, 1<<24)
	for _, n := range []uint64{0, 1, 6, 7, 8, 9, 13, 14, 15, 1 << 23, s.Count(), s.Count() + 1} {
		got := s.First(n)
		assert.Equal(t, min(n, s.Count()), got.Count())
		left := n
		want := new(Set)
		for first, behind := range s.Runs() {
			take := min(left, behind-first)
			want.AddRun(first, first+take)
			left -= take
		}
		assert.Equal(t, maps.Collect(want.Runs()), maps.Collect(got.Runs()), n)
	}
}

// hollow is a bitmap of set bits with a hole that must not be read.
type hollow struct{ from, to int64 }

func (h hollow) NextData(off int64) int64 {
	if off >= h.from && off < h.to {
		return h.to
	}
	return off
}

func (h hollow) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = 0xff
		if at := off + int64(i); at >= h.from && at < h.to {
			p[i] = 0
		}
	}
	if off >= h.from && off+int64(len(p)) <= h.to && len(p) >= 1<<16 {
		return 0, errors.New("the hole is read")
	}
	return len(p), nil
}

// TestHole: holes of the file are not read, and what lies at their ends is.
func TestHole(t *testing.T) {
	t.Parallel()
	const from, size = 1<<18 + 5, 1 << 30
	s, err := Read(t.Context(), hollow{from, from + size}, 0, (from+size+5000)*8, 1<<10)
	require.NoError(t, err)
	assert.EqualValues(t, (from+5000)*8, s.Count())
	assert.EqualValues(t, 2, s.RunCount())
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Read(ctx, hollow{}, 0, 1<<30, 1<<10)
	require.ErrorIs(t, err, context.Canceled)
}
