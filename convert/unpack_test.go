package convert_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/source"
	"windmp/internal/guestsim"
)

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func zstandard(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return z.EncodeAll(b, nil)
}

// tarred is an archive as virtctl makes it: a small file, and the dump.
func tarred(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range map[string][]byte{"README": []byte("a note"), "vm-memory.dump": b} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestPackedInput(t *testing.T) {
	t.Parallel()
	elf := guestsim.New(guestsim.Options{CPUs: 2}).ELF()
	dir, temp := t.TempDir(), t.TempDir()
	convertBytes := func(name string, b []byte) ([]byte, error) {
		in, out := filepath.Join(dir, name), filepath.Join(dir, name+".dmp")
		require.NoError(t, os.WriteFile(in, b, 0o400))
		_, err := convert.File(context.Background(), in, out, convert.Options{Source: source.Options{TempDir: temp}})
		left, rerr := os.ReadDir(temp)
		require.NoError(t, rerr)
		require.Empty(t, left, "nothing is left in the folder for temporary files")
		if err != nil {
			assert.NoFileExists(t, out)
			return nil, err
		}
		return os.ReadFile(out)
	}
	want, err := convertBytes("plain", elf)
	require.NoError(t, err)
	for name, b := range map[string][]byte{
		"gz": gzipped(t, elf), "zst": zstandard(t, elf),
		"tar": tarred(t, elf), "tar.gz": gzipped(t, tarred(t, elf)), "tar.zst": zstandard(t, tarred(t, elf)),
	} {
		got, err := convertBytes(name, b)
		require.NoError(t, err, name)
		assert.True(t, bytes.Equal(want, got), name)

		_, err = convertBytes("cut."+name, b[:len(b)/2])
		require.Error(t, err, "a packed file that breaks off is no core: %s", name)
	}
	_, err = convertBytes("empty.tar.gz", gzipped(t, tarred(t, []byte("no core"))))
	require.ErrorContains(t, err, "without a memory image that is known")
}
