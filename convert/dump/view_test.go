package dump_test

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/physmem"
	"windmp/winhdr"
)

// places is memory in which each byte tells where it is.
type places struct{}

func placeAt(pa uint64) byte { return byte(pa>>12)*31 + byte(pa) }

func (places) ReadAt(p []byte, pa int64) (int, error) {
	for i := range p {
		p[i] = placeAt(uint64(pa) + uint64(i))
	}
	return len(p), nil
}

// whole is a layout's file.
func whole(t *testing.T, l dump.Layout) []byte {
	t.Helper()
	b, memory := checked(t, l)
	b = slices.Grow(b, int(l.Size())-len(b))
	for _, r := range memory {
		at := len(b)
		b = b[:at+int(r.Size)]
		_, err := places{}.ReadAt(b[at:], int64(r.Start))
		require.NoError(t, err)
	}
	return b
}

// TestView reads files that are not there, and holds them against the whole.
func TestView(t *testing.T) {
	t.Parallel()
	header := make([]byte, 0x2000)
	for i := range header {
		header[i] = byte(i * 7)
	}
	few := []physmem.Run{{BasePage: 1, PageCount: 2}, {BasePage: 8, PageCount: 1}, {BasePage: 9, PageCount: 3}}
	var many []physmem.Run // more than are listed one by one
	for i := range uint64(4200) {
		many = append(many, physmem.Run{BasePage: 3*i + i/1000*1<<20, PageCount: 1 + i%16/15})
	}
	full, err := dump.NewFull(header, 3, pages(t, few...))
	require.NoError(t, err)
	core, err := dump.NewELF(dump.ELFMachine{}, few, nil, []byte("note"))
	require.NoError(t, err)
	layouts := map[string]dump.Layout{"full": full, "elf": core}
	for name, runs := range map[string][]physmem.Run{"bitmap": few, "kernel": many} {
		layouts[name], err = dump.NewBitmap(header, winhdr.DumpTypeBitmapKernel, pages(t, runs...))
		require.NoError(t, err)
	}
	for name, l := range layouts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := whole(t, l)
			v, err := dump.NewView(l, places{})
			require.NoError(t, err)
			defer v.Close()
			require.EqualValues(t, len(want), v.Size())
			rng := rand.New(rand.NewPCG(1, 2))
			for range 100 {
				off := rng.Int64N(v.Size())
				p := make([]byte, 1+rng.Int64N(min(v.Size()-off, 1<<16)))
				_, err := v.ReadAt(p, off)
				require.NoError(t, err)
				require.Equal(t, want[off:][:len(p)], p, "%#x bytes at %#x", len(p), off)
			}
			require.NoError(t, iotest.TestReader(io.NewSectionReader(v, 0, 0x3000), want[:0x3000]))
			n, err := v.ReadAt(make([]byte, 2), v.Size()-1)
			assert.Equal(t, 1, n)
			assert.Equal(t, io.EOF, err)
		})
	}
}

// sparse is memory that is zeros from page frame 8 up to 0x100, and says so.
type sparse struct{ places }

func (sparse) NextData(pa uint64) uint64 {
	if pa >= 8*physmem.PageSize && pa < 0x100*physmem.PageSize {
		return 0x100 * physmem.PageSize
	}
	return pa
}

// TestViewHoles asks where the file may hold something other than zeros.
func TestViewHoles(t *testing.T) {
	t.Parallel()
	header := make([]byte, 0x2000)
	l, err := dump.NewFull(header, 3, pages(t,
		physmem.Run{BasePage: 6, PageCount: 8}, physmem.Run{BasePage: 0x20, PageCount: 4}, physmem.Run{BasePage: 0xff, PageCount: 2}))
	require.NoError(t, err)
	v, err := dump.NewView(l, sparse{})
	require.NoError(t, err)
	defer v.Close()
	for off, want := range map[int64]int64{
		0: 0, 0x1fff: 0x1fff, 0x2000: 0x2000, 0x3fff: 0x3fff, // header, and frames 6 and 7
		0x4000: 0xf000, 0x9123: 0xf000, 0xa000: 0xf000, // to the last run's second page
		0xf000: 0xf000, 0x10000: 0x10000,
	} {
		assert.Equal(t, want, physmem.NextData(v, off), "from %#x on", off)
	}
	plain, err := dump.NewView(l, places{})
	require.NoError(t, err)
	defer plain.Close()
	assert.EqualValues(t, 0x5000, plain.NextData(0x5000), "memory that knows no holes")
}
