package pack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

const mib = 1 << 20

// raw takes anything as memory.
var raw = open.Options{Format: physmem.FormatRaw}

// section is all of a file.
func section(r *bytes.Reader) *io.SectionReader { return io.NewSectionReader(r, 0, r.Size()) }

// holeEnd is where the zeros of content end.
const holeEnd = 3 * mib

// content is 1 MiB of data, 2 MiB of zeros and a little data.
func content() []byte {
	b := bytes.Repeat([]byte{1, 2, 3}, holeEnd/3+1000)
	clear(b[mib:holeEnd])
	return b
}

// roomFor is a buffer that need not grow: a grown one is copied some times.
func roomFor(content []byte) *bytes.Buffer {
	const around = 64 << 10
	return bytes.NewBuffer(make([]byte, 0, len(content)+around))
}

// packed is content as NewWriter packs it.
func packed(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	out := roomFor(content)
	w, err := pack.NewWriter(out, name)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// tarred is content in a tar, behind a note.
func tarred(t *testing.T, content []byte) []byte {
	t.Helper()
	out := roomFor(content)
	w := tar.NewWriter(out)
	for _, b := range [][]byte{[]byte("a note"), content} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "x", Mode: 0o600, Size: int64(len(b))}))
		_, err := w.Write(b)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// TestUnpack: what was packed comes out, and the file knows its holes.
func TestUnpack(t *testing.T) {
	t.Parallel()
	want := content()
	got, archive := make([]byte, len(want)), tarred(t, want)
	for name, in := range map[string][]byte{
		"a.gz": want, "a.zst": want, "a.zip": want, "a.tar.gz": archive, "a.tar.zst": archive, "a.tar": archive,
	} {
		dir := t.TempDir()
		r := bytes.NewReader(packed(t, name, in))
		how := pack.Recognise(r)
		if name == "a.tar" {
			assert.Equal(t, pack.Tar, how)
		} else {
			assert.Equal(t, pack.MethodOf(name), how)
		}
		f, err := unpackAll(t.Context(), how, section(r), pack.Options{Dir: dir, Input: raw})
		require.NoError(t, err, name)
		assert.Equal(t, int64(len(want)), f.Size())
		clear(got)
		_, err = f.ReadAt(got, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), name)
		if runtime.GOOS == "linux" {
			assert.Equal(t, int64(mib/2), f.NextData(mib/2))
			assert.InDelta(t, holeEnd, f.NextData(2*mib), 64<<10, "the hole is known: %s", name)
		}
		require.NoError(t, f.Close())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

// TestUnpackFails: nothing is left of what breaks off, holds no core, or is given up.
func TestUnpackFails(t *testing.T) {
	t.Parallel()
	whole := bytes.NewReader(packed(t, "a.gz", content()))
	given, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a table's row
		r    *io.SectionReader
		says string
	}{
		"cut":              {t.Context(), io.NewSectionReader(whole, 0, whole.Size()/2), "gzip: the data is cut"},
		"cut at the start": {t.Context(), io.NewSectionReader(whole, 0, 5), "gzip: the data is cut"},
		"no core":          {t.Context(), section(bytes.NewReader(packed(t, "a.gz", tarred(t, []byte("small"))))), `gzip: the file is a tar archive without a memory image that is known; it holds "x", "x"`},
		"given up":         {given, io.NewSectionReader(whole, 0, whole.Size()), "context canceled"},
		"no gzip":          {t.Context(), section(bytes.NewReader(make([]byte, 100))), "gzip: "},
	} {
		dir := t.TempDir()
		_, err := unpackAll(tc.ctx, pack.Gzip, tc.r, pack.Options{Dir: dir, Input: raw})
		require.ErrorContains(t, err, tc.says, name)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left, name)
	}
}
