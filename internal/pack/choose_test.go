package pack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"windmp/internal/atomicfile"
	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// entry is a member of an archive.
type entry struct {
	name string
	b    []byte
}

// known begins like a container that is read, so that it is unpacked; what is in it is
// not looked at.
func known(size int) []byte {
	b := noise(size)
	copy(b, "QEVM\x00\x00\x00\x03")
	return b
}

// noise is data that does not pack.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b) // never fails
	return b
}

func tarOf(t *testing.T, list ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.b))}))
		_, err := w.Write(e.b)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func zipOf(t *testing.T, method uint16, list ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range list {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: method})
		require.NoError(t, err)
		_, err = w.Write(e.b)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

// countingReader counts what is read of a packed file.
type countingReader struct {
	r io.ReaderAt
	n int64
}

// ReadAt implements io.ReaderAt.
func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// unpackWith unpacks b, and says how much of it was read.
func unpackWith(t *testing.T, b []byte, opt pack.Options) (got []byte, read int64, err error) {
	t.Helper()
	c := &countingReader{r: bytes.NewReader(b)}
	f, err := unpackAll(t.Context(), pack.Recognise(bytes.NewReader(b)), io.NewSectionReader(c, 0, int64(len(b))), opt)
	if err != nil {
		require.Nil(t, f)
		return nil, c.n, err
	}
	defer f.Close()
	got = make([]byte, f.Size())
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	return got, c.n, nil
}

// TestJunk: of what is no container nothing is written, whatever it is packed in, and
// little of it is read: the folder for temporary files is not even there.
func TestJunk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	junk := noise(mib + mib/2)
	for name, b := range map[string][]byte{
		"a.gz": packed(t, "a.gz", junk), "a.zst": packed(t, "a.zst", junk), "a.zip": packed(t, "a.zip", junk),
		"a.xz": bytes.Repeat(asXz(t, xz.WriterConfig{}, junk[:mib/32]), 24),
		"tar":  tarOf(t, entry{"a.bin", junk}), "stored": zipOf(t, zip.Store, entry{"a.bin", junk}),
	} {
		_, read, err := unpackWith(t, b, pack.Options{Dir: dir})
		require.ErrorIs(t, err, physmem.ErrUnknownFormat, name)
		require.ErrorContains(t, err, "it looks like noise", name)
		if name != "tar" { // whose next member is looked for
			assert.Less(t, read, int64(len(b)/2), name)
		}
		_, _, err = unpackWith(t, b, pack.Options{Dir: dir, Input: raw})
		require.NotErrorIs(t, err, physmem.ErrUnknownFormat, name)
		require.ErrorContains(t, err, "none", name)
	}
	// What is known and not read is named, and is not unpacked either.
	_, _, err := unpackWith(t, packed(t, "a.gz", append([]byte("vhdxfile"), junk[:mib]...)), pack.Options{Dir: dir})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	require.ErrorContains(t, err, "gzip: the file is a VHDX disk image")
	_, _, err = unpackWith(t, packed(t, "a.gz", packed(t, "a.zst", junk[:mib])), pack.Options{Dir: dir})
	require.ErrorContains(t, err, "gzip: the file is zstd-compressed data; decompress it first")
	// The beginning decides, of small files too.
	_, _, err = unpackWith(t, packed(t, "a.gz", nil), pack.Options{Dir: dir})
	require.ErrorContains(t, err, "an empty file")
	_, _, err = unpackWith(t, packed(t, "a.gz", []byte("some words")), pack.Options{Dir: dir})
	require.ErrorContains(t, err, "it looks like text")
	// A format that is asked for is that of the content.
	_, _, err = unpackWith(t, packed(t, "a.gz", known(mib)), pack.Options{Dir: dir, Input: open.Options{Format: physmem.FormatELF}})
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
}

// TestLimit: what is written is bounded, holes are not counted.
func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = mib / 2
	b := known(limit)
	sparse := append(bytes.Clone(b), make([]byte, mib)...)
	more := append(bytes.Clone(b), noise(2*mib)...)
	for _, name := range []string{"a.gz", "a.zst", "a.zip"} {
		_, read, err := unpackWith(t, packed(t, name, more), pack.Options{Dir: t.TempDir(), Limit: limit - 1})
		var reached *pack.LimitError
		require.ErrorAs(t, err, &reached)
		assert.EqualValues(t, limit-1, reached.Limit)
		require.ErrorContains(t, err, "more than the limit of 524287 bytes")
		if name != "a.zst" { // which is unpacked ahead
			assert.Less(t, read, int64(2*mib), name)
		}
		got, _, err := unpackWith(t, packed(t, name, b), pack.Options{Dir: t.TempDir(), Limit: limit})
		require.NoError(t, err, name)
		assert.True(t, bytes.Equal(b, got), name)
		got, _, err = unpackWith(t, packed(t, name, sparse), pack.Options{Dir: t.TempDir(), Limit: limit})
		require.NoError(t, err, name)
		assert.True(t, bytes.Equal(sparse, got), name)
	}
}

// TestMembers: of an archive the one memory image is taken, wherever it is and however
// small; several, and none, are named.
func TestMembers(t *testing.T) {
	t.Parallel()
	image, note := entry{"vm/mem.dump", known(70_000)}, entry{"README", []byte("a note")}
	other := entry{"junk\x1b[0m", noise(100_000)}
	small := entry{"small.dmp", known(6000)}
	for kind, archive := range map[pack.Method]func(...entry) []byte{
		pack.Tar: func(l ...entry) []byte { return tarOf(t, l...) },
		pack.Zip: func(l ...entry) []byte { return zipOf(t, zip.Deflate, l...) },
		"stored": func(l ...entry) []byte { return zipOf(t, zip.Store, l...) },
		pack.Gzip: func(l ...entry) []byte {
			return packed(t, "a.gz", tarOf(t, l...))
		},
	} {
		opt := pack.Options{Dir: t.TempDir()}
		for _, list := range [][]entry{{image}, {note, image}, {other, image, note}, {image, other}} {
			got, _, err := unpackWith(t, archive(list...), opt)
			require.NoError(t, err, kind)
			assert.True(t, bytes.Equal(image.b, got), kind)
		}
		got, _, err := unpackWith(t, archive(other, small), opt)
		require.NoError(t, err, kind)
		assert.True(t, bytes.Equal(small.b, got), kind)

		_, _, err = unpackWith(t, archive(note, image, small), opt)
		require.ErrorContains(t, err, `archive of several memory images, "vm/mem.dump" and "small.dmp"; unpack the one that is meant`, kind)
		_, _, err = unpackWith(t, archive(note, other), opt)
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		require.ErrorContains(t, err, `without a memory image that is known; it holds "README", "junk\x1b[0m"; Raw memory is read if raw`, kind)
		_, _, err = unpackWith(t, archive(other), opt)
		require.ErrorIs(t, err, physmem.ErrUnknownFormat)
		require.ErrorContains(t, err, `"junk\x1b[0m" in the `, kind)
		many := make([]entry, 0, 20)
		for i := range 20 {
			many = append(many, entry{fmt.Sprint(i), []byte("text")})
		}
		_, _, err = unpackWith(t, archive(many...), opt)
		require.ErrorContains(t, err, `it holds "0", "1", "2", "3", "4" and 15 more`, kind)

		opt.Input = raw
		got, _, err = unpackWith(t, archive(note, other), opt)
		require.NoError(t, err, kind)
		assert.True(t, bytes.Equal(other.b, got), kind)
		_, _, err = unpackWith(t, archive(other, image), opt)
		require.ErrorContains(t, err, "several memory images", kind)
	}
	_, _, err := unpackWith(t, tarOf(t, entry{"ustar", nil}), pack.Options{})
	require.ErrorContains(t, err, "an empty file")
}

// TestNoFiles: of an archive without a file what it holds is said.
func TestNoFiles(t *testing.T) {
	t.Parallel()
	folder := tar.Header{Name: "vm/", Typeflag: tar.TypeDir}
	link := tar.Header{Name: "vm/mem.dump", Typeflag: tar.TypeSymlink, Linkname: "/srv/mem.dump"}
	same := tar.Header{Name: "same", Typeflag: tar.TypeLink, Linkname: "gone"}
	pipe := tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}
	comment := tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of git"}}
	for _, tc := range []struct {
		list []tar.Header
		says string
	}{
		{[]tar.Header{comment}, "; it is empty"},
		{[]tar.Header{folder}, "; it holds only 1 folder"},
		{[]tar.Header{link}, `; it holds only 1 link ("vm/mem.dump" leads to "/srv/mem.dump"); Pack the file that the link leads to`},
		{[]tar.Header{folder, folder, same, link, pipe}, `; it holds only 2 folders, 2 links ("same" leads to "gone"), 1 special file; Pack the file that the link leads to`},
	} {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, h := range tc.list {
			require.NoError(t, w.WriteHeader(&h))
		}
		require.NoError(t, w.Close())
		_, _, err := unpackWith(t, out.Bytes(), pack.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		require.EqualError(t, err, "tar: the file is a tar archive without a memory image that is known"+tc.says)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	_, err := z.Create("vm/")
	require.NoError(t, err)
	h := &zip.FileHeader{Name: "vm/mem.dump"}
	h.SetMode(fs.ModeSymlink | 0o777)
	w, err := z.CreateHeader(h)
	require.NoError(t, err)
	_, err = w.Write([]byte("/srv/mem.dump"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	_, _, err = unpackWith(t, out.Bytes(), pack.Options{})
	require.EqualError(t, err, "zip: the file is a zip archive without a memory image that is known; it holds only 1 folder, 1 link; Pack the file that the link leads to")
}

// TestZipLies: a zip that claims many members, has them, is cut, is damaged, is encrypted
// or packed by another method.
func TestZipLies(t *testing.T) {
	t.Parallel()
	opt := pack.Options{Dir: t.TempDir()}
	whole := zipOf(t, zip.Deflate, entry{"a.dmp", known(100_000)})
	for n := 4; n < len(whole); n += 997 {
		_, _, err := unpackWith(t, whole[:n], opt)
		require.Error(t, err, n)
	}
	damaged := bytes.Clone(whole)
	damaged[60_000] ^= 1
	_, _, err := unpackWith(t, damaged, opt)
	require.Error(t, err)

	directory := bytes.LastIndex(whole, []byte("PK\x01\x02"))
	for _, tc := range []struct {
		at   int
		v    byte
		says string
	}{{8, 1, `"a.dmp" is encrypted`}, {10, 9, `"a.dmp" is packed by method 9`}} {
		b := bytes.Clone(whole)
		b[directory+tc.at] |= tc.v
		if tc.at == 10 {
			b[directory+tc.at] = tc.v
		}
		_, _, err := unpackWith(t, b, opt)
		require.ErrorContains(t, err, tc.says)
	}

	// The names of some members alone are more than is read of the directory.
	many := make([]entry, 60)
	for i := range many {
		many[i].name = strings.Repeat("x", mib/50)
	}
	_, read, err := unpackWith(t, zipOf(t, zip.Store, many...), opt)
	require.ErrorContains(t, err, "too many members")
	assert.Less(t, read, int64(2*mib))

	// A large file with a record of zip64 that claims as many as would fit.
	end := bytes.LastIndex(whole, []byte("PK\x05\x06"))
	record := make([]byte, 56)
	copy(record, "PK\x06\x06")
	binary.LittleEndian.PutUint64(record[4:], 44)
	binary.LittleEndian.PutUint64(record[24:], 1<<40)
	binary.LittleEndian.PutUint64(record[32:], 1<<40)
	locator := make([]byte, 20)
	copy(locator, "PK\x06\x07")
	const size int64 = 1 << 46
	tail := append(append(record, locator...), whole[end:]...)
	binary.LittleEndian.PutUint64(tail[56+8:], uint64(size)-uint64(len(tail)))
	binary.LittleEndian.PutUint32(tail[56+16:], 1)
	copy(tail[56+20+8:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	_, err = unpackAll(t.Context(), pack.Zip, io.NewSectionReader(&tailReader{tail, size}, 0, size), opt)
	require.ErrorContains(t, err, "too many members")
}

// tailReader is a large file of zeros with something at its end.
type tailReader struct {
	tail []byte
	size int64
}

// ReadAt implements io.ReaderAt.
func (r *tailReader) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if at := r.size - int64(len(r.tail)); off+int64(len(p)) > at {
		copy(p[max(at-off, 0):], r.tail[max(off-at, 0):])
	}
	return len(p), nil
}

// TestBehind: damage behind a member that is whole costs nothing; a folder that can't
// take the file is the system's error.
func TestBehind(t *testing.T) {
	t.Parallel()
	image := entry{"a.dmp", known(100_000)}
	whole := tarOf(t, image, entry{"b", noise(500_000)})
	got, _, err := unpackWith(t, whole[:300_000], pack.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	assert.True(t, bytes.Equal(image.b, got))
	var space *atomicfile.SpaceError
	_, _, err = unpackWith(t, whole, pack.Options{Dir: filepath.Join(t.TempDir(), "none")})
	require.Error(t, err)
	require.NotErrorAs(t, err, &space)
}

// FuzzZip unpacks damaged zips: it ends, and gives what is there or an error.
func FuzzZip(f *testing.F) {
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for _, name := range []string{"README", "a.dmp"} {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
			require.NoError(f, err)
			_, err = w.Write([]byte("QEVM\x00\x00\x00\x03" + name))
			require.NoError(f, err)
		}
		require.NoError(f, z.Close())
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		u, err := unpackAll(t.Context(), pack.Zip, section(bytes.NewReader(b)), pack.Options{Dir: dir, Limit: mib})
		if err != nil {
			require.Nil(t, u)
			return
		}
		// Of what was packed alone.
		require.LessOrEqual(t, u.Size(), int64(1100*len(b)))
		require.NoError(t, u.Close())
	})
}
