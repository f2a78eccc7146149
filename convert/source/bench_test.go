package source_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/guestpages"
	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// BenchmarkPackedStream opens the packed migration stream of a guest of 256 MiB, and does
// the two parts of it alone, and one behind the other.
func BenchmarkPackedStream(b *testing.B) {
	memory := make([]byte, 256<<20)
	guestpages.Fill(memory, 0)
	im, err := open.Source(b.Context(), physmem.NewSource("", bytes.NewReader(memory), int64(len(memory))), open.Options{Format: physmem.FormatRaw})
	require.NoError(b, err)
	path, dir := filepath.Join(b.TempDir(), "a.zst"), b.TempDir()
	out, err := os.Create(path)
	require.NoError(b, err)
	z, err := zstd.NewWriter(out) // one frame, which can't be read in place
	require.NoError(b, err)
	coretest.WriteMigration(b, z, im, nil, "pc-q35-9.0")
	require.NoError(b, z.Close())
	size, err := out.Seek(0, io.SeekEnd)
	require.NoError(b, err)
	defer out.Close()

	unpack := func(b *testing.B) *pack.File {
		b.Helper()
		f, err := pack.Unpack(b.Context(), pack.Zstd, io.NewSectionReader(out, 0, size), pack.Options{Dir: dir})
		require.NoError(b, err)
		require.NoError(b, f.Wait())
		return f
	}
	index := func(b *testing.B, f *pack.File) {
		b.Helper()
		_, err := open.Source(b.Context(), f, open.Options{})
		require.NoError(b, err)
	}
	whole := unpack(b)
	defer whole.Close()
	for name, run := range map[string]func(){
		"unpack":               func() { require.NoError(b, unpack(b).Close()) },
		"index":                func() { index(b, whole) },
		"one behind the other": func() { f := unpack(b); index(b, f); require.NoError(b, f.Close()) },
		"both": func() {
			require.NoError(b, source.With(b.Context(), source.File(path), source.Options{TempDir: dir}, image))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(memory)))
			for b.Loop() {
				run()
			}
		})
	}
}
