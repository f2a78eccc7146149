//go:build !js

package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"windmp/internal/pack"
)

// packed is a file in all packings that windmp reads, by their names; gzip is tried with a
// sample that is packed by it.
func packed(t *testing.T, file []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, writer := range map[string]func(io.Writer) (io.WriteCloser, error){
		"frames.vmcore.zst": byName("frames.vmcore.zst"),
		"zipped.dmp.zip":    byName("zipped.dmp.zip"),
		"stream.vmcore.zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
		"packed.vmcore.xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	} {
		out[name] = written(t, file, writer)
	}
	out["archive.tar"] = archived(t, file)
	out["archive.tar.zst"] = written(t, out["archive.tar"], byName("archive.tar.zst"))
	if bzip2, err := exec.LookPath("bzip2"); err != nil { // Go only reads it
		t.Log("DID NOT RUN: bzip2 is missing")
	} else {
		c := exec.CommandContext(t.Context(), bzip2, "-c")
		c.Stdin = bytes.NewReader(file)
		out["packed.vmcore.bz2"], err = c.Output()
		require.NoError(t, err)
	}
	return out
}

// byName packs as the command does for an output of that name.
func byName(name string) func(io.Writer) (io.WriteCloser, error) {
	return func(w io.Writer) (io.WriteCloser, error) { return pack.NewWriter(w, name) }
}

func written(t *testing.T, file []byte, writer func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := writer(&out)
	require.NoError(t, err)
	_, err = w.Write(file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func archived(t *testing.T, file []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "dumps/memory.vmcore", Mode: 0o600, Size: int64(len(file))}))
	_, err := w.Write(file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
