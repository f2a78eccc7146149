package convert_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/internal/pack"
)

// TestCompressedOutput: what comes out of the packed file is the dump, to
// readers that are not the packers.
func TestCompressedOutput(t *testing.T) {
	t.Parallel()
	core := sample(t, "guest-bsod.vmcore")
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		_, err := convert.File(context.Background(), core, path, convert.Options{})
		require.NoError(t, err)
		return path
	}
	want, err := os.ReadFile(write("plain.dmp"))
	require.NoError(t, err)

	assert.True(t, bytes.Equal(want, ungzip(t, write("guest.dmp.gz"))))

	z, err := zip.OpenReader(write("guest.zip"))
	require.NoError(t, err)
	defer z.Close()
	require.Len(t, z.File, 1)
	assert.Equal(t, "guest.dmp", z.File[0].Name)
	f, err := z.File[0].Open()
	require.NoError(t, err)
	got, err := io.ReadAll(f) // checks the CRC
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))

	zst, err := os.Open(write("guest.dmp.zst"))
	require.NoError(t, err)
	defer zst.Close()
	d, err := zstd.NewReader(zst)
	require.NoError(t, err)
	defer d.Close()
	got, err = io.ReadAll(d)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))

	for _, tool := range [][]string{
		{"gzip", "-t", filepath.Join(dir, "guest.dmp.gz")},
		{"unzip", "-tqq", filepath.Join(dir, "guest.zip")},
		{"zstd", "-tq", filepath.Join(dir, "guest.dmp.zst")},
	} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			t.Logf("NOT RUN: %s is not installed, %s is not checked by it", tool[0], tool[2])
			continue
		}
		out, err := exec.Command(tool[0], tool[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", tool[0], out)
	}
	assert.Equal(t, pack.None, pack.MethodOf("x.dmp"))
}

// TestCompressedOutputFails: a packed output leaves nothing behind either.
func TestCompressedOutputFails(t *testing.T) {
	t.Parallel()
	core := unpack(t, samplePath("live-2cpu.vmcore.gz"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"a.zst", "a.gz", "a.zip"} {
		_, err := convert.File(ctx, core, filepath.Join(filepath.Dir(core), name), convert.Options{})
		require.ErrorIs(t, err, context.Canceled)
		assertOnly(t, core)
	}
}

// ungzip reads a file that is one member of gzip, and no more.
func ungzip(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	require.NoError(t, err)
	r := bytes.NewReader(packed)
	z, err := gzip.NewReader(r)
	require.NoError(t, err)
	z.Multistream(false)
	data, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Zero(t, r.Len())
	return data
}
