package migration

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestIndex compares the index with a list of all pages, over rounds as a running guest
// makes them: all pages in order, then more and more of them out of it.
func TestIndex(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const pages = 3*chunkPages + 17
		r := &ram{c: &cursor{}}
		b := &block{name: "a", size: pages * pageSize, chunks: map[uint64]*chunk{}}
		want := make([]location, pages)
		put := func(page uint64) {
			switch k := rnd.IntN(20); {
			case k == 0:
				r.c.pos += uint64(rnd.IntN(100))
				want[page] = packed | location(r.c.pos)
				r.in = nil
				r.index.set(b, page, packed, r.c.pos)
			case k < 7:
				at := r.c.pos
				r.c.pos += zeroRecord
				want[page] = zero
				r.put(b, page, zero, at)
			default:
				at := r.c.pos
				r.c.pos += pageRecord
				want[page] = plain | location(at+wordSize)
				r.put(b, page, plain, at)
			}
			if rnd.IntN(40) == 0 {
				r.c.pos += 22 // a section begins
			}
		}
		for page := range uint64(pages) {
			if rnd.IntN(50) > 0 {
				put(page)
			}
		}
		for range rnd.IntN(2000) {
			put(rnd.Uint64N(pages))
		}
		from := rnd.Uint64N(pages)
		for page := from; page < min(pages, from+rnd.Uint64N(900)); page++ {
			put(page)
		}
		for page, w := range want {
			require.Equal(t, w, b.locate(uint64(page)), "seed %d, page 0x%x", seed, page)
		}
		runs, ok := b.present(0, pages)
		require.True(t, ok)
		at := uint64(0)
		for _, run := range runs {
			for ; at < run.BasePage; at++ {
				require.Equal(t, missing, want[at])
			}
			for ; at < run.End(); at++ {
				require.NotEqual(t, missing, want[at])
			}
		}
	}
}

// TestIndexOfStoppedGuest: what a stopped guest's pages take, however zeros lie among
// them, and what scattered ones do.
func TestIndexOfStoppedGuest(t *testing.T) {
	t.Parallel()
	const size = 1 << 30 // a sixty-fourth of 64 GiB
	r := &ram{c: &cursor{}}
	b := &block{name: "a", size: size, chunks: map[uint64]*chunk{}}
	for page := range uint64(size / pageSize) {
		at, kind, n := r.c.pos, plain, uint64(pageRecord)
		if page%3 == 0 {
			kind, n = zero, zeroRecord
		}
		r.c.pos += n
		if page%20000 == 0 {
			r.c.pos += 22
			at += 22
		}
		r.put(b, page, kind, at)
	}
	require.LessOrEqual(t, 64*r.index.bytes, uint64(16<<20))

	r = &ram{c: &cursor{}}
	b = &block{name: "a", size: size, chunks: map[uint64]*chunk{}}
	for page := range uint64(size / pageSize) {
		r.c.pos += 5000
		r.put(b, (page*7919)%(size/pageSize), plain, r.c.pos)
	}
	require.LessOrEqual(t, 64*r.index.bytes, uint64(maxIndex))
}

func TestChanges(t *testing.T) {
	t.Parallel()
	page := make([]byte, 4096)
	require.NoError(t, applyChanges(page, []byte{0, 1, 'a', 0x80 | 1, 1, 2, 'b', 'c'})) // 129 bytes stay
	require.Equal(t, byte('a'), page[0])
	require.Equal(t, []byte("bc"), page[130:132])
	require.NoError(t, applyChanges(page, nil))
	for _, bad := range [][]byte{{0}, {0, 1}, {0x80}, {0x80, 0x80, 1}, {0xff, 0x7f, 1, 1}, {0xff, 0x1f, 2, 1, 2}} {
		require.ErrorIs(t, applyChanges(page, bad), errXBZRLE, "%x", bad)
	}
}

// TestHugeBoard: QEMU puts memory of AMD machines that reaches 1 TiB elsewhere.
func TestHugeBoard(t *testing.T) {
	t.Parallel()
	cmos := make([]byte, cmosSize)
	const low, high = 2 * gib, 1100 * gib
	n := low/cmosGrain - 16*mib/cmosGrain
	cmos[cmosAbove16M], cmos[cmosAbove16M+1] = byte(n&0xff), byte(n>>8)
	h := high / cmosGrain
	cmos[cmosHigh], cmos[cmosHigh+1], cmos[cmosHigh+2] = byte(h&0xff), byte(h>>8&0xff), byte(h>>16)
	s := &stream{odd: new(physmem.Oddities)}
	s.ram.blocks = []*block{{name: boardNames[0], size: low + high}}
	b, rest, err := s.placeBoard(cmos, nil)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, split{low: low, high: high}, b.split)
	require.Len(t, s.odd.All(), 1)
	require.Contains(t, s.odd.All()[0].Text, "with an AMD processor")
}
