package fileset

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ramp is what files have: of a block, what begins at its number.
var ramp = func() []byte {
	b := make([]byte, blockSize+256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

// content fills p with what a file has from an offset on.
func content(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, ramp[off/blockSize%256:][off%blockSize:][:blockSize-off%blockSize])
		p, off = p[n:], off+int64(n)
	}
}

// stretch is what was asked of a browser.
type stretch struct{ off, size int64 }

// browser slices files, and counts.
type browser struct {
	asked   []stretch
	buffers map[*byte]bool
	err     error
}

func (b *browser) slice(off int64, blocks [][]byte) error {
	at := off
	for _, p := range blocks {
		b.buffers[&p[0]] = true
		content(p, at)
		at += int64(len(p))
	}
	b.asked = append(b.asked, stretch{off, at - off})
	return b.err
}

// set is a set of one file.
func set(size int64) (*browser, *File) {
	b := &browser{buffers: map[*byte]bool{}}
	var s Set
	s.Add("memory", size, b.slice)
	return b, s.Files()[0]
}

func read(t *testing.T, f *File, off int64, n int) {
	t.Helper()
	p := make([]byte, n)
	got, err := f.ReadAt(p, off)
	require.NoError(t, err)
	require.Equal(t, n, got)
	want := make([]byte, n)
	content(want, off)
	require.True(t, bytes.Equal(want, p), "%d bytes at %d", n, off)
}

// TestBound: of all files of a job together no more is kept than the bound says, however
// they are read, and it lies in so many buffers, which are used again.
func TestBound(t *testing.T) {
	t.Parallel()
	b := &browser{buffers: map[*byte]bool{}}
	var s Set
	for range 5 {
		s.Add("memory", 100<<30, b.slice)
	}
	random := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 3*blockSize)
	for i := range 1000 {
		f := s.Files()[i%5]
		off := random.Int64N(f.size - int64(len(p)))
		if i%4 == 0 {
			off = f.next * blockSize // as who reads on
		}
		_, err := f.ReadAt(p, off)
		require.NoError(t, err)
		var kept int64
		for _, b := range s.kept.kept.Oldest() {
			kept += int64(cap(b))
		}
		require.LessOrEqual(t, kept, int64(keptBytes))
		require.LessOrEqual(t, kept, s.kept.kept.Held())
	}
	assert.LessOrEqual(t, len(b.buffers), keptBytes/blockSize)
	assert.Greater(t, len(b.buffers), keptBytes/blockSize-2*runBlocks, "that much is used")
}

// TestSlices: what is read here and there is read by blocks, what is read in order by
// longer and longer runs, a small file by MiBs, and nothing twice.
func TestSlices(t *testing.T) {
	t.Parallel()
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	for name, c := range map[string]struct {
		size  int64
		reads []stretch
		want  []stretch
	}{
		"here and there":  {64 * gib, []stretch{{5 * gib, 8}, {gib, 4096}, {5*gib + 9, 8}}, []stretch{{5 * gib, 64 * kib}, {gib, 64 * kib}}},
		"in order":        {gib, []stretch{{0, 4 * mib}}, []stretch{{0, 64 * kib}, {64 * kib, 128 * kib}, {192 * kib, 256 * kib}, {448 * kib, 512 * kib}, {960 * kib, mib}, {1984 * kib, mib}, {3008 * kib, mib}, {4032 * kib, mib}}},
		"to the end":      {9*mib + 1, []stretch{{9*mib - 8, 9}}, []stretch{{9*mib - 64*kib, 64 * kib}, {9 * mib, 1}}},
		"what is kept":    {gib, []stretch{{256 * kib, 8}, {0, 512 * kib}}, []stretch{{256 * kib, 64 * kib}, {0, 64 * kib}, {64 * kib, 128 * kib}, {192 * kib, 64 * kib}, {320 * kib, 64 * kib}, {384 * kib, 128 * kib}}},
		"a small file":    {4*mib + 10, []stretch{{3*mib + 77, 8}, {3 * mib, 4096}, {4 * mib, 10}, {0, mib}}, []stretch{{3 * mib, mib}, {4 * mib, 10}, {0, mib}}},
		"a file of bytes": {3, []stretch{{1, 2}, {0, 3}}, []stretch{{0, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, f := set(c.size)
			for _, r := range c.reads {
				read(t, f, r.off, int(r.size))
			}
			assert.Equal(t, c.want, b.asked)
		})
	}
}

// TestEnds: what is not there is said as of any file, and what could not be read once is
// asked for again.
func TestEnds(t *testing.T) {
	t.Parallel()
	_, f := set(blockSize + 10)
	p := make([]byte, 20)
	n, err := f.ReadAt(p, blockSize)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 10, n)
	_, err = f.ReadAt(p, blockSize+10)
	require.ErrorIs(t, err, io.EOF)
	_, err = f.ReadAt(p, -1)
	require.ErrorContains(t, err, "negative")

	var b *browser
	b, f = set(1 << 30)
	b.err = errors.New("the file is gone")
	_, err = f.ReadAt(p, 0)
	require.ErrorIs(t, err, b.err)
	b.err = nil
	read(t, f, 0, 20)
}

// TestNeighbours: those of a file are the others, and not the file itself.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	var s Set
	s.Add("guest.vmem", 1, nil)
	s.Add("guest.vmsn", 2, nil)
	o, err := s.Files()[0].OpenSibling("guest.vmsn")
	require.NoError(t, err)
	assert.Equal(t, int64(2), o.Size())
	_, err = s.Files()[0].OpenSibling("guest.vmem")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
