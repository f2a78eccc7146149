package binio_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/binio"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	const top = math.MaxUint64
	for _, c := range []struct {
		off, n, size uint64
		want         bool
	}{
		{0, 0, 0, true},
		{0, 1, 0, false},
		{4, 4, 8, true},
		{4, 5, 8, false},
		{8, 0, 8, true},
		{9, 0, 8, false},
		{top, 2, 8, false},
		{8, top, 8, false},
		{1, top, top, false},
		{0, top, top, true},
	} {
		assert.Equal(t, c.want, binio.Within(c.off, c.n, c.size), "%+v", c)
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	got, ok := binio.Sum(math.MaxUint64-1, 1)
	assert.True(t, ok)
	assert.Equal(t, uint64(math.MaxUint64), got)
	_, ok = binio.Sum(math.MaxUint64, 1)
	assert.False(t, ok)
}

func TestClip(t *testing.T) {
	t.Parallel()
	assert.Equal(t, uint64(3), binio.Clip(5, 10, 8))
	assert.Equal(t, uint64(2), binio.Clip(5, 2, 8))
	assert.Zero(t, binio.Clip(8, 10, 8))
	assert.Zero(t, binio.Clip(math.MaxUint64, math.MaxUint64, 8))
}

func TestConversions(t *testing.T) {
	t.Parallel()
	v, ok := binio.Int64(math.MaxInt64)
	assert.True(t, ok)
	assert.Equal(t, int64(math.MaxInt64), v)
	_, ok = binio.Int64(math.MaxInt64 + 1)
	assert.False(t, ok)
	assert.Zero(t, binio.Uint64(-1))
	assert.Equal(t, uint64(7), binio.Uint64(7))
}

func TestReadFull(t *testing.T) {
	t.Parallel()
	r := bytes.NewReader([]byte("abcdef"))
	p := make([]byte, 4)
	require.NoError(t, binio.ReadFull(r, p, 2))
	assert.Equal(t, "cdef", string(p))

	n, err := binio.ReadSome(r, p, 3)
	assert.Equal(t, 3, n)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	n, err = binio.ReadSome(r, p, 100)
	assert.Zero(t, n)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	broken := errors.New("bad sector")
	require.ErrorIs(t, binio.ReadFull(failing{broken}, p, 0), broken)
}

// failing is a reader whose every read fails.
type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestReadBytes(t *testing.T) {
	t.Parallel()
	r := bytes.NewReader([]byte("abcdef"))
	b, err := binio.ReadBytes(r, 1, 5, 16)
	require.NoError(t, err)
	assert.Equal(t, "bcdef", string(b))

	_, err = binio.ReadBytes(r, 0, 17, 16)
	require.ErrorIs(t, err, binio.ErrTooLarge)
	_, err = binio.ReadBytes(r, 2, 5, 16)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = binio.ReadBytes(r, math.MaxUint64, 5, 16)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = binio.ReadBytes(r, math.MaxInt64, 5, 16)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = binio.ReadBytes(failing{iotest.ErrTimeout}, 0, 5, 16)
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

// TestReadBytesGrows: at most twice as much is asked for as there is, in a few pieces.
func TestReadBytesGrows(t *testing.T) {
	t.Parallel()
	file := make([]byte, 300<<10)
	for i := range file {
		file[i] = byte(i >> 8)
	}
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200 << 10, len(file)} {
		r := &pieces{ReaderAt: bytes.NewReader(file)}
		b, err := binio.ReadBytes(r, 0, uint64(n), 1<<40)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(file[:n], b), n)
		assert.LessOrEqual(t, r.reads, 4)
	}
	r := &pieces{ReaderAt: bytes.NewReader(file)}
	_, err := binio.ReadBytes(r, 0, 1<<30, 1<<40)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Contains(t, err.Error(), "only 0x4b000 there")
	assert.LessOrEqual(t, r.end, int64(2*len(file)))
}

// pieces is a reader that counts how often, and up to where, it is read.
type pieces struct {
	io.ReaderAt
	reads int
	end   int64
}

func (r *pieces) ReadAt(p []byte, off int64) (int, error) {
	r.reads++
	r.end = max(r.end, off+int64(len(p)))
	return r.ReaderAt.ReadAt(p, off)
}

func TestIsNoise(t *testing.T) {
	t.Parallel()
	r := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 1<<16)
	for range 50 {
		_, _ = r.Read(noise)
		assert.True(t, binio.IsNoise(noise))
		assert.True(t, binio.IsNoise(noise[:4096]))
	}
	assert.False(t, binio.IsNoise(noise[:4095]), "too little to tell")
	assert.False(t, binio.IsNoise(make([]byte, 4096)))
	clear(noise[:256])
	assert.False(t, binio.IsNoise(noise[:4096]))
	ascending := make([]byte, 4096)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	assert.False(t, binio.IsNoise(ascending), "too even")
}

// TestIsZero: one byte anywhere that is not 0 is seen.
func TestIsZero(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4095, 4096, 4097, 8192, 9000} {
		b := make([]byte, n)
		assert.True(t, binio.IsZero(b), n)
		for _, at := range []int{0, 1, 4094, 4095, 4096, 8191, 8192, n - 1} {
			if at >= 0 && at < n {
				b[at] = 1
				assert.False(t, binio.IsZero(b), "%d of %d", at, n)
				b[at] = 0
			}
		}
	}
}
