package guest_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// repeated is memory in which pages of some kinds take turns.
type repeated [][]byte

func (r repeated) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		page, at := (off+int64(n))/physmem.PageSize, (off+int64(n))%physmem.PageSize
		n += copy(p[n:], r[int(page)%len(r)][at:])
	}
	return len(p), nil
}

// TestRawWithoutWindows: memory in which there is no Windows is not read anew for each
// hole that it may leave out and each machine whose it may be: once each for blocks, page
// tables, banners and tables of memory, and for each a few pages that may be page tables.
func TestRawWithoutWindows(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(word func() uint64) []byte {
		b := make([]byte, physmem.PageSize)
		for at := 0; at < len(b); at += 8 {
			binary.LittleEndian.PutUint64(b[at:], word())
		}
		return b
	}
	var noise repeated
	for range 61 {
		noise = append(noise, fill(rng.Uint64))
	}
	var usual repeated
	for range 20 {
		usual = append(usual,
			fill(func() uint64 { return 0 }),
			fill(func() uint64 { return 0xffff8880_00000000 | rng.Uint64N(1<<32) }),                   // pointers
			fill(func() uint64 { return 0x2020_2020_2020_2020 | rng.Uint64()&0x5f5f_5f5f_5f5f_5f5f }), // text
			fill(func() uint64 { return 0x00007fff_00000000 | rng.Uint64N(1<<32) }),
			noise[0],
			fill(func() uint64 { return rng.Uint64N(64) }), // small numbers
		)
	}
	usual = append(usual, fill(func() uint64 { return rng.Uint64N(size)&^0xfff | 0x63 })) // a page table
	for _, tc := range []struct {
		name   string
		mem    repeated
		passes int64
		want   finding.Kind
	}{
		{"no Windows", usual, 6, finding.NoKDBG},
		{"noise", noise, 4, finding.EncryptedMemory},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := &physmemtest.Tally{ReaderAt: tc.mem}
			im, err := physmemtest.OpenReader(c, size, open.Options{Format: physmem.FormatRaw})
			require.NoError(t, err)
			_, err = guest.Find(context.Background(), im, guest.Options{})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tc.want.ID(), refused.Finding.ID)
			assert.LessOrEqual(t, c.Read.Load(), tc.passes*size)
		})
	}
}
