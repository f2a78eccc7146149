package pack_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestpages"
	"windmp/internal/pack"
	_ "windmp/internal/testheap"
)

// pages is memory that packs as a guest's does.
func pages(size int) []byte {
	b := make([]byte, size)
	guestpages.Fill(b, 0)
	return b
}

// writeMany packs content in writes of several sizes.
func writeMany(tb testing.TB, w io.Writer, content []byte) {
	tb.Helper()
	p, err := pack.NewWriter(w, "a.zst")
	require.NoError(tb, err)
	for n := 100_000; len(content) > 0; n = n*3/2 + 1 {
		n = min(n%(3*mib), len(content))
		_, err := p.Write(content[:n])
		require.NoError(tb, err)
		content = content[n:]
	}
	require.NoError(tb, p.Close())
}

// TestFramesAreZstd: whoever knows nothing of frames unpacks the same, and the file is
// about as large as one stream is.
func TestFramesAreZstd(t *testing.T) {
	t.Parallel()
	want := append(pages(2*mib), 1, 2, 3)
	var out, one bytes.Buffer
	writeMany(t, &out, want)
	d, err := zstd.NewReader(bytes.NewReader(out.Bytes()), zstd.WithDecoderConcurrency(1))
	require.NoError(t, err)
	defer d.Close()
	got := roomFor(want)
	_, err = d.WriteTo(got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got.Bytes()))

	w, err := zstd.NewWriter(&one, zstd.WithWindowSize(mib), zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	_, err = w.Write(want)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.InEpsilon(t, one.Len(), out.Len(), 0.03)
}

// TestZstdUnpacks: so does zstd itself.
func TestZstdUnpacks(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("zstd")
	if err != nil {
		if os.Getenv("WINDMP_REQUIRE_QEMU") == "1" {
			t.Fatal("zstd is missing; scripts/deps installs it")
		}
		t.Skip("NOT TESTED: zstd is missing (scripts/deps)")
	}
	want := append(pages(mib), 1, 2, 3)
	path := filepath.Join(t.TempDir(), "a.zst")
	f, err := os.Create(path)
	require.NoError(t, err)
	writeMany(t, f, want)
	require.NoError(t, f.Close())
	got, err := exec.CommandContext(t.Context(), program, "-dc", path).Output()
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	require.NoError(t, exec.CommandContext(t.Context(), program, "-tq", path).Run())
}

// TestFrameMemory: what packing and reading in place take is buffers for each packer,
// used again and again, whatever the size of the file.
func TestFrameMemory(t *testing.T) { //nolint:paralleltest // counts memory
	bound := uint64(5*mib) * uint64(min(runtime.GOMAXPROCS(0), 16)+3)
	size := int64(2 * bound)
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	var out bytes.Buffer
	zeros := make([]byte, mib)
	assert.Less(t, allocated(func() {
		w, err := pack.NewWriter(&out, "a.zst")
		require.NoError(t, err)
		for range size / mib {
			_, err := w.Write(zeros)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
	}), bound)
	assert.Less(t, allocated(func() {
		f := openFrames(t, out.Bytes())
		require.NotNil(t, f)
		for off := int64(0); off < size; off += mib / 4 {
			_, err := f.ReadAt(zeros[:mib/4], off)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
	}), bound)
}

// BenchmarkZstd packs: with -cpu 1,2 it says what a second processor is worth.
func BenchmarkZstd(b *testing.B) {
	content := pages(64 * mib)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		p, err := pack.NewWriter(io.Discard, "a.zst")
		require.NoError(b, err)
		_, err = p.Write(content)
		require.NoError(b, err)
		require.NoError(b, p.Close())
	}
}
