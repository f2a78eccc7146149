package convert_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/internal/pack"
	"windmp/physmem"
)

// image opens the image of a source.
func image(ctx context.Context, s *source.Source) error {
	_, err := s.Image(ctx)
	return err
}

// TestPackedJunk: a small file that unpacks to a large one that is no memory image is
// refused, and nothing is written: the folder for it is not there.
func TestPackedJunk(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	require.NoError(t, err)
	for range 64 {
		_, err = z.Write(bytes.Repeat([]byte("junk"), 1<<18))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	path := filepath.Join(t.TempDir(), "junk.zst")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	opt := source.Options{TempDir: filepath.Join(t.TempDir(), "none")}
	err = source.With(t.Context(), source.File(path), opt, image)
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	require.ErrorContains(t, err, "open: "+path+": zstd: not a memory image")
	r, err := inspect.Check(t.Context(), inspect.CheckOptions{Source: opt}, source.File(path))
	require.NoError(t, err)
	require.Len(t, r.Files[0].Findings, 1)
	assert.Equal(t, "WD151", r.Files[0].Findings[0].ID)
}

// TestMaxSizeUnpacks: a check with a limit writes no more than that of a packed file.
func TestMaxSizeUnpacks(t *testing.T) {
	t.Parallel()
	elf := guestsim.New(guestsim.Options{CPUs: 1}).ELF()
	path := filepath.Join(t.TempDir(), "core.gz")
	require.NoError(t, os.WriteFile(path, gzipped(t, elf), 0o600))
	opt := inspect.CheckOptions{Source: source.Options{TempDir: t.TempDir()}, MaxSize: 4096}
	r, err := inspect.Check(t.Context(), opt, source.File(path))
	require.NoError(t, err)
	var limit *pack.LimitError
	require.ErrorAs(t, r.Files[0].Err, &limit)
	assert.Equal(t, "UNKNOWN", r.Files[0].Verdict)
	assert.Equal(t, "unpack", r.Files[0].Error.Stage)
	opt.MaxSize = int64(len(elf)) * 2
	r, err = inspect.Check(t.Context(), opt, source.File(path))
	require.NoError(t, err)
	require.NoError(t, r.Files[0].Err)
}

// TestReadsItsOwnZip: what a conversion packs, the next command reads.
func TestReadsItsOwnZip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "core")
	require.NoError(t, os.WriteFile(in, guestsim.New(guestsim.Options{CPUs: 1}).ELF(), 0o600))
	var dump bytes.Buffer
	_, err := convert.Stream(t.Context(), source.Named(in), &dump, convert.Options{})
	require.NoError(t, err)
	for _, name := range []string{"a.zip", "a.zst", "a.gz"} {
		packed := filepath.Join(dir, name)
		_, err := convert.File(t.Context(), in, packed, convert.Options{})
		require.NoError(t, err)
		s, err := source.Open(t.Context(), source.File(packed), source.Options{TempDir: t.TempDir()})
		require.NoError(t, err, name)
		got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(dump.Bytes(), got), name)
		require.NoError(t, s.Close())
	}
}
