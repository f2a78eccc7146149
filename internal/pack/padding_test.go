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
	want := make([]byte, mib/4) // noise: what is packed is as long, several blocks of it
	_, _ = rand.NewChaCha8([32]byte{}).Read(want)
	streams := map[pack.Method][]byte{pack.Gzip: packed(t, "a.gz", want), pack.Zstd: packed(t, "a.zst", want)}
	if _, err := exec.LookPath("bzip2"); err == nil {
		cmd := exec.CommandContext(t.Context(), "bzip2")
		cmd.Stdin = bytes.NewReader(want)
		streams[pack.Bzip2], err = cmd.Output()
		require.NoError(t, err)
	}
	unpack := func(b []byte) ([]byte, error) {
		r := bytes.NewReader(b)
		f, err := unpackAll(t.Context(), pack.Recognise(r), section(r), pack.Options{Dir: t.TempDir(), Input: raw})
		if err != nil {
			return nil, err
		}
		defer f.Close()
		got := make([]byte, f.Size())
		_, err = f.ReadAt(got, 0)
		return got, err
	}
	for how, stream := range streams {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 9, 10, 511, 1 << 20} {
			got, err := unpack(append(bytes.Clone(stream), make([]byte, n)...))
			require.NoError(t, err, "%s, %d zeros", how, n)
			assert.True(t, bytes.Equal(want, got), "%s, %d zeros", how, n)
		}
		for name, behind := range map[string][]byte{"garbage": []byte("garbage, more than a header"), "garbage behind zeros": append(make([]byte, 512), "garbage, more than a header"...), "garbage before zeros": append([]byte("garbage"), make([]byte, 512)...)} {
			_, err := unpack(append(bytes.Clone(stream), behind...))
			require.Error(t, err, "%s, %s", how, name)
		}
		for _, n := range []int{0, 512} {
			_, err := unpack(append(bytes.Clone(stream[:len(stream)-100]), make([]byte, n)...))
			require.Error(t, err, "%s, cut, %d zeros", how, n)
		}
		twice, err := unpack(append(bytes.Clone(stream), stream...))
		require.NoError(t, err, how)
		assert.Len(t, twice, 2*len(want), how)
	}
}
