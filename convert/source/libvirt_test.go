package source_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"windmp/convert/source"
)

// saveFile is libvirt's header, and a stream behind it that is packed as it says.
func saveFile(t *testing.T, packing uint32, packed []byte) string {
	t.Helper()
	b := make([]byte, 0x5c+100)
	copy(b, "LibvirtQemudSave")
	for i, v := range []uint32{2, 100, 1, packing} {
		binary.LittleEndian.PutUint32(b[0x10+4*i:], v)
	}
	path := filepath.Join(t.TempDir(), "win10.save")
	require.NoError(t, os.WriteFile(path, append(b, packed...), 0o600))
	return path
}

// TestLibvirt: what libvirt packed behind its header is unpacked.
func TestLibvirt(t *testing.T) {
	t.Parallel()
	stream := append([]byte("QEVM\x00\x00\x00\x03"), bytes.Repeat([]byte("stream"), 100_000)...)
	var gz, z, x bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write(stream)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	zw, err := zstd.NewWriter(&z)
	require.NoError(t, err)
	_, err = zw.Write(stream)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	xw, err := xz.NewWriter(&x)
	require.NoError(t, err)
	_, err = xw.Write(stream)
	require.NoError(t, err)
	require.NoError(t, xw.Close())
	for packing, packed := range map[uint32][]byte{1: gz.Bytes(), 3: x.Bytes(), 5: z.Bytes()} {
		s, err := source.Open(t.Context(), source.File(saveFile(t, packing, packed)), source.Options{TempDir: t.TempDir()})
		require.NoError(t, err, packing)
		got := make([]byte, s.Size())
		_, err = s.ReadAt(got, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(stream, got[0x5c+100:]), packing)
		assert.Equal(t, "LibvirtQemudSave", string(got[:16]))
		assert.Zero(t, binary.LittleEndian.Uint32(got[0x1c:]))
		require.NoError(t, s.Close())
	}
	// lzop is nobody's here, and what is not packed stays where it is.
	err = source.With(t.Context(), source.File(saveFile(t, 4, []byte("\x89LZO"))), source.Options{}, image)
	require.ErrorContains(t, err, "packed with lzop; unpack the stream: tail -c +193 FILE | lzop -dc > STREAM")
	s, err := source.Open(t.Context(), source.File(saveFile(t, 0, stream)), source.Options{})
	require.NoError(t, err)
	assert.Same(t, s.File(), s.Source)
	require.NoError(t, s.Close())
}
