package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// sparse is a file of that size with bytes at its end alone.
func sparse(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("end"), size-3)
	require.NoError(t, err)
	return path
}

// image opens the image of a source.
func image(ctx context.Context, s *source.Source) error {
	_, err := s.Image(ctx)
	return err
}

// TestHoles: a source knows the holes of a sparse file, and of what was unpacked.
func TestHoles(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("holes are not known here")
	}
	const size = 4 << 20
	plain := sparse(t, size)
	if st, err := os.Stat(plain); err != nil || allocated(st) >= size {
		t.Skip("the file system has no holes")
	}
	b, err := os.ReadFile(plain)
	require.NoError(t, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	gz := plain + ".gz"
	require.NoError(t, os.WriteFile(gz, packed.Bytes(), 0o600))

	for _, path := range []string{plain, gz} {
		s, err := source.Open(t.Context(), source.File(path), source.Options{TempDir: t.TempDir(), Input: open.Options{Format: physmem.FormatRaw}})
		require.NoError(t, err)
		assert.EqualValues(t, size, s.Size())
		assert.Greater(t, physmem.NextData(s, 0), int64(size/2), path)
		im, err := s.Image(t.Context())
		require.NoError(t, err)
		assert.Greater(t, im.NextData(0), uint64(size/2), path)
		require.NoError(t, s.Close())
	}
}

// TestReader: a reader is taken as it is.
func TestReader(t *testing.T) {
	t.Parallel()
	in := source.Reader("memory", bytes.NewReader(make([]byte, 0x2000)), 0x2000)
	assert.Equal(t, "memory", in.Path())
	assert.EqualValues(t, 0x2000, in.Size())
	opt := source.Options{Input: open.Options{Format: physmem.FormatRaw}}
	err := source.With(t.Context(), in, opt, func(ctx context.Context, s *source.Source) error {
		im, err := s.Image(ctx)
		require.NoError(t, err)
		assert.Equal(t, []physmem.Range{{Size: 0x2000}}, im.Ranges())
		return io.ErrUnexpectedEOF
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	opt := source.Options{Input: open.Options{Holes: []physmem.Range{{Start: 0x1000, Size: 0x1000}}}}
	var usage *stage.UsageError
	require.ErrorAs(t, opt.Validate(), &usage)
	_, err := source.Open(t.Context(), source.File("there is none"), opt)
	require.ErrorAs(t, err, &usage)
}
