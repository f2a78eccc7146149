package open_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "guest.vmcore")
	file := fixture.Sample(t, "live-2cpu.vmcore.gz")
	require.NoError(t, os.WriteFile(path, file, 0o400)) // as QEMU makes it
	m, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	assert.Equal(t, int64(len(file)), m.FileSize())
	_, err = m.ReadAt(make([]byte, 0x1000), 0x1000)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	_, err = m.ReadAt(make([]byte, 0x1000), 0x1000)
	require.ErrorIs(t, err, os.ErrClosed)

	// A file that shrinks while it is open.
	m, err = open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Truncate(path, int64(len(file)-0x4000)))
	var last physmem.Extent
	for e := range m.Extents(0) {
		if e.Offset >= last.Offset {
			last = e
		}
	}
	_, err = m.ReadAt(make([]byte, 0x1000), int64(last.End()-0x1000))
	var re *physmem.ReadError
	require.ErrorAs(t, err, &re)
	assert.Contains(t, err.Error(), "unexpected EOF")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := open.File(t.Context(), filepath.Join(dir, "nothing"), open.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = open.File(t.Context(), dir, open.Options{})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	assert.Contains(t, err.Error(), "a folder, not a file")

	text := filepath.Join(dir, "a.txt")
	require.NoError(t, os.WriteFile(text, []byte("hello\n"), 0o600))
	_, err = open.File(t.Context(), text, open.Options{})
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	assert.True(t, strings.HasPrefix(err.Error(), text+": "), "the error names the file")

	if _, err := os.Stat("/dev/null"); err == nil {
		_, err = open.File(t.Context(), "/dev/null", open.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		assert.Contains(t, err.Error(), "a character device")
	}
}

func TestUnrecognised(t *testing.T) {
	t.Parallel()
	at := func(off int, s string) string { return strings.Repeat("\x00", off) + s }
	for head, want := range map[string]string{
		"\x1f\x8b\x08":                   "gzip-compressed data; decompress it first",
		"\x28\xb5\x2f\xfd":               "zstd-compressed data; decompress it first",
		"\xfd7zXZ\x00":                   "xz-compressed data; decompress it first",
		"PK\x03\x04":                     "a zip archive; unpack it first",
		at(0x101, "ustar\x00"):           "a tar archive; unpack it first",
		"QFI\xfb\x00\x00\x00\x03":        "a qcow2 disk image without the memory of a snapshot; a disk holds no memory",
		"KDMV":                           "a VMDK disk image",
		at(0x40, "\x7f\x10\xda\xbe"):     "a VDI disk image",
		"MDMP\x93\xa7":                   "a Windows minidump of a process",
		"MZ\x90\x00":                     "a Windows program",
		"hibr\x00":                       "a Windows hibernation file",
		"vhdxfile":                       "a VHDX disk image",
		"\x7fELF\x02\x01\x01\x00cut off": "", // malformed, see below
	} {
		m, err := physmemtest.Open([]byte(head))
		require.Nil(t, m)
		if want == "" {
			var fe *physmem.FormatError
			require.ErrorAs(t, err, &fe)
			continue
		}
		require.ErrorIs(t, err, physmem.ErrUnsupported, "%q", head)
		assert.Contains(t, err.Error(), want)
	}
}

// TestWrongFormat: of a file that begins like what is read, the advice is not another
// format.
func TestWrongFormat(t *testing.T) {
	t.Parallel()
	for head, what := range map[string]string{"\x7fELF": "an ELF file", "PAGEDU64": "a Windows crash dump", "QEVM\x00": "QEMU's migration stream"} {
		file := head + strings.Repeat("\x00", 999)
		src := physmem.NewSource("", strings.NewReader(file), int64(len(file)))
		_, err := open.Source(t.Context(), src, open.Options{Format: physmem.FormatLiME})
		var unknown *physmem.UnknownFormatError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, "the file begins like "+what+": "+physmem.HintNoFormat, unknown.Hint)
		assert.Equal(t, physmem.FormatLiME, unknown.Tried[0].Format)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                          "an empty file",
		"some text, in words: ä":    "looks like text",
		"cut in a rune \xe2\x82":    "looks like text",
		strings.Repeat("\x00", 999): "zeros, or raw memory",
		"\x01\x02\x03\xff\xfe":      "not elf: no ELF signature at its start",
	} {
		m, err := physmemtest.Open([]byte(file))
		require.Nil(t, m)
		require.ErrorIs(t, err, physmem.ErrUnknownFormat)
		require.NotErrorIs(t, err, physmem.ErrUnsupported)
		assert.Contains(t, err.Error(), want)
		var ue *physmem.UnknownFormatError
		require.ErrorAs(t, err, &ue)
		require.NotEmpty(t, ue.Tried)
		assert.Equal(t, physmem.FormatELF, ue.Tried[0].Format)
	}
	_, err := physmemtest.Open(nil)
	assert.Contains(t, err.Error(), "not a memory image that is known here: it looks like an empty file; the dump was not written; look for the error where it was made")
	_, err = physmemtest.Open([]byte("\x01\x02\x03\xff\xfe"))
	assert.Contains(t, err.Error(), "Raw memory is read if raw is given as its format", "of a PC with UEFI it begins with anything")
}
