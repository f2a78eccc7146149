package guest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
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

// withoutSize is that of memory without Windows, in bytes.
const withoutSize = 16 << 20

// withoutWindows is memory as it is without Windows, and noise.
func withoutWindows() (usual, noise repeated) {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(word func() uint64) []byte {
		b := make([]byte, physmem.PageSize)
		for at := 0; at < len(b); at += 8 {
			binary.LittleEndian.PutUint64(b[at:], word())
		}
		return b
	}
	for range 61 {
		noise = append(noise, fill(rng.Uint64))
	}
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
	usual = append(usual, fill(func() uint64 { return rng.Uint64N(withoutSize)&^0xfff | 0x63 })) // a page table
	return usual, noise
}

// TestRawWithoutWindows: memory in which there is no Windows is not read anew for each
// hole that it may leave out and each machine whose it may be: once each for blocks, page
// tables, banners and tables of memory, and for each a few pages that may be page tables.
func TestRawWithoutWindows(t *testing.T) {
	t.Parallel()
	usual, noise := withoutWindows()
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
			assert.LessOrEqual(t, readInVain(t, tc.mem, withoutSize, physmem.FormatRaw, tc.want), tc.passes*withoutSize)
		})
	}
}

// readInVain is how much is read of a file without Windows, for the reason that there is
// none.
func readInVain(t *testing.T, file io.ReaderAt, size int64, format physmem.Format, want finding.Kind) int64 {
	t.Helper()
	c := &physmemtest.Tally{ReaderAt: file}
	im, err := physmemtest.OpenReader(c, size, open.Options{Format: format})
	require.NoError(t, err)
	_, err = guest.Find(context.Background(), im, guest.Options{})
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, want.ID(), refused.Finding.ID)
	return c.Read.Load()
}

// TestPiecesWithoutWindows: memory in pieces, whose places and no processors are known, is
// not read anew for each machine whose it may be.
func TestPiecesWithoutWindows(t *testing.T) {
	t.Parallel()
	usual, _ := withoutWindows()
	const pieces = 2
	var lime []byte
	for i := range uint64(pieces) {
		start := i << 30
		lime = binary.LittleEndian.AppendUint64(lime, 0x1_4c694d45) // magic, version
		lime = binary.LittleEndian.AppendUint64(lime, start)
		lime = binary.LittleEndian.AppendUint64(lime, start+withoutSize/pieces-1)
		lime = binary.LittleEndian.AppendUint64(lime, 0)
		part := make([]byte, withoutSize/pieces)
		_, err := usual.ReadAt(part, 0)
		require.NoError(t, err)
		lime = append(lime, part...)
	}
	// Blocks, page tables, banners, and what may be page tables.
	assert.LessOrEqual(t, readInVain(t, bytes.NewReader(lime), int64(len(lime)), physmem.FormatLiME, finding.NoKDBG), int64(4*withoutSize))
}
