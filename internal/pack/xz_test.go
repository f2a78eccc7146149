package pack_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"windmp/internal/pack"
)

// mixed is data that does not pack, data that does, and zeros: 768 KiB, since the
// writers take a second for ten.
func mixed() []byte {
	b := noise(3 * mib / 4)
	for i := 150_000; i < mib/2; i++ {
		b[i] = byte(i % 3)
	}
	clear(b[mib/2:])
	return b
}

// asXz is content packed by another implementation's writer, with a dictionary of 64 KiB
// if c has none: its own of 8 MiB takes longer to make than the content to pack.
func asXz(tb testing.TB, c xz.WriterConfig, content []byte) []byte {
	tb.Helper()
	if c.DictCap == 0 {
		c.DictCap = 64 << 10
	}
	var out bytes.Buffer
	w, err := c.NewWriter(&out)
	require.NoError(tb, err)
	_, err = w.Write(content)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return out.Bytes()
}

// unpacked is what comes out of packed data.
func unpacked(t *testing.T, packed []byte) ([]byte, error) {
	t.Helper()
	how := pack.Recognise(bytes.NewReader(packed))
	require.True(t, pack.Unpacks(how))
	f, err := unpackAll(t.Context(), how, section(bytes.NewReader(packed)), pack.Options{Dir: t.TempDir(), Input: raw})
	if err != nil {
		require.Nil(t, f)
		return nil, err
	}
	defer f.Close()
	got := make([]byte, f.Size())
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	return got, nil
}

// TestXz: all checks, blocks, streams one behind the other, with padding.
func TestXz(t *testing.T) {
	t.Parallel()
	want := mixed()[120_000:180_000]
	for name, c := range map[string]xz.WriterConfig{
		"crc64": {}, "crc32": {CheckSum: xz.CRC32}, "sha256": {CheckSum: xz.SHA256}, "none": {NoCheckSum: true}, "blocks": {BlockSize: 20_003},
	} {
		got, err := unpacked(t, asXz(t, c, want))
		require.NoError(t, err, name)
		assert.True(t, bytes.Equal(want, got), name)
	}
	half := len(want) / 2
	two := append(asXz(t, xz.WriterConfig{}, want[:half]), make([]byte, 8)...)
	got, err := unpacked(t, append(two, asXz(t, xz.WriterConfig{}, want[half:])...))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
}

// TestOtherPackers: what the usual programs pack comes out.
func TestOtherPackers(t *testing.T) {
	t.Parallel()
	want := mixed()[75_000:225_000]
	for _, command := range [][]string{
		{"xz", "-0"},
		{"xz", "-0", "-T2", "--block-size=64KiB", "--check=crc32"},
		{"bzip2", "-1"},
		{"zstd", "-19", "--stream-size=150000"},
		{"gzip", "-1"},
		{"pzstd", "-p", "2"},
	} {
		program, err := exec.LookPath(command[0])
		if err != nil {
			t.Logf("DID NOT RUN: %s is missing", command[0])
			continue
		}
		c := exec.Command(program, append(command[1:], "-c")...)
		c.Stdin = bytes.NewReader(want)
		packed, err := c.Output()
		require.NoError(t, err, command)
		got, err := unpacked(t, packed)
		require.NoError(t, err, command)
		assert.True(t, bytes.Equal(want, got), command)
	}
}

// TestSkippedInFront: frames that are to be skipped may be in front of zstd's, as pzstd
// has them; so many, and of others than zstd they say nothing.
func TestSkippedInFront(t *testing.T) {
	t.Parallel()
	skipped := []byte("\x5f\x2a\x4d\x18\x03\x00\x00\x00abc")
	frame := []byte("\x28\xb5\x2f\xfd\x04")
	for name, c := range map[string]struct {
		file []byte
		want pack.Method
	}{
		"none":     {frame, pack.Zstd},
		"four":     {append(bytes.Repeat(skipped, 4), frame...), pack.Zstd},
		"five":     {append(bytes.Repeat(skipped, 5), frame...), pack.None},
		"of LZ4":   {append(bytes.Clone(skipped), "\x04\x22\x4d\x18...."...), pack.None},
		"cut":      {skipped, pack.None},
		"too long": {append([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"), frame...), pack.None},
	} {
		assert.Equal(t, c.want, pack.Recognise(bytes.NewReader(c.file)), name)
	}
}

// TestXzMemory: a dictionary larger than any that xz makes is refused before it is
// allocated, in any block.
func TestXzMemory(t *testing.T) {
	t.Parallel()
	want := make([]byte, 1000)
	plain := asXz(t, xz.WriterConfig{}, want)
	claim := func(dictionary byte) []byte {
		const block, at, sum = 12, 16, 20 // as asXz has them (The .xz File Format 1.2, 2.1.1 and 3.1)
		b := bytes.Clone(plain)
		b[at] = dictionary
		binary.LittleEndian.PutUint32(b[sum:], crc32.ChecksumIEEE(b[block:sum]))
		return b
	}
	const of64MiB, of96MiB = 28, 29 // 64 MiB are those of xz -9
	got, err := unpacked(t, claim(of64MiB))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	large := claim(of96MiB)
	_, err = unpacked(t, large)
	require.ErrorContains(t, err, "xz with a dictionary of 96 MiB, at most 64 MiB are read")
	_, err = unpacked(t, append(plain, large...))
	require.ErrorContains(t, err, "dictionary of 96 MiB")
}

// TestXzCut: what is cut is an error, wherever.
func TestXzCut(t *testing.T) {
	t.Parallel()
	whole := asXz(t, xz.WriterConfig{BlockSize: 50_000}, mixed()[140_000:260_000])
	for n := 12; n < len(whole); n += 601 {
		_, err := unpacked(t, whole[:n])
		require.Error(t, err)
	}
	for _, n := range []int{1, 4, 12, 13, 20} {
		_, err := unpacked(t, whole[:len(whole)-n])
		require.Error(t, err, n)
	}
}

// FuzzXz unpacks damaged xz: it ends, within bounds, and never as something else than
// what the decoder alone makes of it.
func FuzzXz(f *testing.F) {
	f.Add(asXz(f, xz.WriterConfig{}, []byte("some text, and more of it")))
	f.Add(asXz(f, xz.WriterConfig{BlockSize: 10}, []byte("some text, and more of it")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pack.Recognise(bytes.NewReader(b)) != pack.Xz {
			return
		}
		u, err := unpackAll(t.Context(), pack.Xz, section(bytes.NewReader(b)), pack.Options{Input: raw})
		if err != nil {
			require.Nil(t, u)
			return
		}
		defer u.Close()
		z, err := xz.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		want, err := io.ReadAll(z)
		require.NoError(t, err)
		got := make([]byte, u.Size())
		_, err = u.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
