package pack_test

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/pack"
)

// TestEndsInZero: a stream whose own last byte is zero.
func TestEndsInZero(t *testing.T) {
	t.Parallel()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	require.NoError(t, err)
	want := make([]byte, mib/8)
	_, _ = rand.NewChaCha8([32]byte{}).Read(want[:len(want)-1])
	b := enc.EncodeAll(want, nil) // not packed, as it can't be
	require.Zero(t, b[len(b)-1])
	for n := range 6 {
		r := bytes.NewReader(append(bytes.Clone(b), make([]byte, n)...))
		f, err := unpackAll(t.Context(), pack.Zstd, section(r), pack.Options{Dir: t.TempDir(), Input: raw})
		require.NoError(t, err, n)
		assert.EqualValues(t, len(want), f.Size())
		require.NoError(t, f.Close())
	}
}

// TestPadding: zeros behind what is packed are passed over; what else is there, or a cut
// before them, is told.
func TestPadding(t *testing.T) {
	t.Parallel()
	long := make([]byte, mib/4+1) // noise: what is packed is as long, several blocks of it
	_, _ = rand.NewChaCha8([32]byte{}).Read(long)
	short := long[:5000]
	garbage := []byte("garbage, more than a header")
	behind := map[string][]byte{
		"garbage":               garbage,
		"garbage behind zeros":  append(make([]byte, 512), garbage...),
		"garbage before zeros":  append([]byte("garbage"), make([]byte, 512)...),
		"a byte before zeros":   append([]byte{1}, make([]byte, 512)...),
		"garbage behind blocks": append(make([]byte, mib), garbage...),
	}
	for how, stream := range streams(t, short) {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 9, 10, 511} {
			got, err := unpacked(t, append(bytes.Clone(stream), make([]byte, n)...))
			require.NoError(t, err, "%s, %d zeros", how, n)
			assert.True(t, bytes.Equal(short, got), "%s, %d zeros", how, n)
		}
		for name, b := range behind {
			_, err := unpacked(t, append(bytes.Clone(stream), b...))
			require.Error(t, err, "%s, %s", how, name)
		}
		for _, n := range []int{0, 512} {
			_, err := unpacked(t, append(bytes.Clone(stream[:len(stream)-100]), make([]byte, n)...))
			require.Error(t, err, "%s, cut, %d zeros", how, n)
		}
		twice, err := unpacked(t, append(bytes.Clone(stream), stream...))
		require.NoError(t, err, how)
		assert.Len(t, twice, 2*len(short), how)
	}
	for how, stream := range streams(t, long) {
		got, err := unpacked(t, append(stream, make([]byte, mib)...))
		require.NoError(t, err, how)
		assert.True(t, bytes.Equal(long, got), how)
	}
}

// streams is content as each of those packs it behind whose streams zeros may be.
func streams(t *testing.T, content []byte) map[pack.Method][]byte {
	t.Helper()
	all := map[pack.Method][]byte{pack.Gzip: packed(t, "a.gz", content), pack.Zstd: packed(t, "a.zst", content)}
	if _, err := exec.LookPath("bzip2"); err == nil {
		cmd := exec.CommandContext(t.Context(), "bzip2", "-1")
		cmd.Stdin = bytes.NewReader(content)
		all[pack.Bzip2], err = cmd.Output()
		require.NoError(t, err)
	}
	return all
}
