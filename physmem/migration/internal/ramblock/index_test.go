package ramblock

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIndex compares the index with a list of all pages, over rounds as a running guest
// makes them: all pages in order, then more and more of them out of it.
func TestIndex(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const pages = 3*chunkPages + 17
		var x Index
		b, end := NewBlock("a", pages*pageSize), uint64(0)
		want := make([]location, pages)
		put := func(page uint64) {
			switch k := rnd.IntN(20); {
			case k == 0:
				end += uint64(rnd.IntN(100))
				want[page] = packed | location(end)
				x.Packed(b, page, end)
			case k < 7:
				end += zeroRecord
				want[page] = zero
				x.Zero(b, page, end)
			default:
				end += pageRecord
				want[page] = plain | location(end-pageSize)
				x.Plain(b, page, end)
			}
			if rnd.IntN(40) == 0 {
				end += 22 // a section begins
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
	const pages = size / pageSize
	var x Index
	b, end := NewBlock("a", size), uint64(0)
	for page := range uint64(pages) {
		if page%20000 == 0 {
			end += 22
		}
		if page%3 == 0 {
			end += zeroRecord
			x.Zero(b, page, end)
			continue
		}
		end += pageRecord
		x.Plain(b, page, end)
	}
	require.LessOrEqual(t, 64*x.Bytes(), uint64(16<<20))

	x, b = Index{}, NewBlock("a", size)
	for page := range uint64(pages) {
		end += 5000
		x.Plain(b, page*7919%pages, end)
	}
	require.LessOrEqual(t, 64*x.Bytes(), uint64(maxIndex))
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
