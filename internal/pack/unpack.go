package pack

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"windmp/internal/atomicfile"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Magic numbers of what is unpacked (RFC 1952, RFC 8878, the xz file format, bzip2's
// decompress.c, POSIX ustar).
var (
	magicGzip  = []byte{0x1f, 0x8b}
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicXz    = []byte("\xfd7zXZ\x00")
	magicBzip2 = []byte("BZh")
	// blockBzip2 is behind the digit of the level.
	blockBzip2 = []byte("1AY&SY")
	magicTar   = []byte("ustar")
)

const (
	tarMagicOffset = 257
	tarBlock       = 512
	// leastCore is smaller than any core: what is smaller in an archive is a
	// note beside it.
	leastCore = 64 << 10
	// spaceEvery is how many bytes are unpacked between two looks at the free
	// space, and what must be left then. What is smaller may fill the disk.
	spaceEvery = 256 << 20
	// block is one write into the file, in bytes, aligned in it. Larger ones are
	// slower on ext4 (docs/performance.md).
	block = 256 << 10
	// grain is the least hole in the file, in bytes.
	grain = 4 << 10
	// zstdMemory bounds what a forged frame can make the decoder allocate: the
	// largest window of zstd --long=27, its default limit for reading.
	zstdMemory = 128<<20 + 1<<20
)

// Recognise tells how a file is packed by its first bytes.
func Recognise(r io.ReaderAt) Method {
	var head [10]byte
	n, _ := r.ReadAt(head[:], 0) // a short or unreadable file is for others to judge
	switch {
	case bytes.HasPrefix(head[:n], magicGzip):
		return Gzip
	case bytes.HasPrefix(head[:n], magicZstd):
		return Zstd
	case bytes.HasPrefix(head[:n], magicXz):
		return Xz
	case bytes.HasPrefix(head[:n], magicBzip2) && bytes.HasSuffix(head[:n], blockBzip2):
		return Bzip2
	default:
		return None
	}
}

// Unpacks reports whether [Unpack] knows a way of packing.
func Unpacks(how Method) bool { return how == Gzip || how == Zstd || how == Xz || how == Bzip2 }

// Unpack unpacks a stream, packed as [Recognise] says of its beginning, with or
// without a tar in it as virtctl hands it out, into a temporary file of the folder
// dir (that for temporary files if it is empty). Of a tar it takes the first file
// that is large enough to be a core. An error says how the stream is packed; it is
// a wrapped [*atomicfile.SpaceError] when the folder's file system fills up, and [ErrCut]
// when the stream ends too early.
func Unpack(ctx context.Context, how Method, r io.Reader, dir string) (*File, error) {
	return UnpackBehind(ctx, nil, how, r, dir)
}

// UnpackBehind is Unpack with bytes that the file is to have in front of what is
// unpacked.
func UnpackBehind(ctx context.Context, head []byte, how Method, r io.Reader, dir string) (*File, error) {
	content, err := newUnpacker(how, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, early(err))
	}
	defer content.Close() //nolint:errcheck // only read
	core, err := coreIn(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, asCut(err))
	}
	unnamed, err := atomicfile.CreateUnnamed(dir, unpackedName)
	if err != nil {
		return nil, err
	}
	t := &File{file: unnamed}
	if err := t.fill(ctx, io.MultiReader(bytes.NewReader(head), core)); err != nil {
		return nil, errors.Join(fmt.Errorf("unpacking %s data: %w", how, asCut(err)), t.Close())
	}
	if t.data, err = open.NewFile(unnamed.File); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// early is asCut of where packed data begins: there, the end itself is early.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCut
	}
	return asCut(err)
}

func newUnpacker(how Method, f io.Reader) (io.ReadCloser, error) {
	switch how {
	case Gzip:
		return gzip.NewReader(f)
	case Xz:
		z, err := newXz(f)
		return io.NopCloser(z), err
	case Bzip2:
		return io.NopCloser(bzip2.NewReader(f)), nil
	case None, Zstd, Zip:
	}
	d, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(zstdMemory), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// coreIn is the stream itself, or when it is a tar its first file that is large
// enough to be a core.
func coreIn(r io.Reader) (io.Reader, error) {
	head := make([]byte, tarBlock)
	n, err := io.ReadFull(r, head)
	if n == 0 && errors.Is(err, io.EOF) {
		return r, nil // nothing was packed
	}
	if err != nil && (!errors.Is(err, io.ErrUnexpectedEOF) || !ended(r)) {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), r)
	if n < tarBlock || !bytes.HasPrefix(head[tarMagicOffset:], magicTar) {
		return whole, nil
	}
	t := tar.NewReader(whole)
	for {
		entry, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the tar holds no file of %#x bytes or more", leastCore)
		}
		if err != nil {
			return nil, fmt.Errorf("tar: %w", err)
		}
		if entry.Typeflag == tar.TypeReg && entry.Size >= leastCore {
			return t, nil
		}
	}
}

// unpackedName stands in the names of the temporary files.
const unpackedName = "unpacked"

// A File is what was unpacked: a temporary file, sparse and without a name where the
// system allows that, which is gone when it is closed. It is a physmem.DataFinder.
type File struct {
	file *atomicfile.Unnamed
	size int64
	data physmem.DataFinder // nil while it is written
}

var _ physmem.DataFinder = (*File)(nil)

// Size is that of what was unpacked, in bytes.
func (t *File) Size() int64 { return t.size }

// ReadAt implements io.ReaderAt.
func (t *File) ReadAt(p []byte, off int64) (int, error) { return t.file.ReadAt(p, off) }

// NextData returns the first offset from off on where there is no hole, as far as
// the system tells.
func (t *File) NextData(off int64) int64 { return t.data.NextData(off) }

// Close closes and removes the file.
func (t *File) Close() error { return t.file.Close() }

// fill copies r into the file, leaving holes for zeros.
func (t *File) fill(ctx context.Context, r io.Reader) error {
	w := atomicfile.NewHoleWriter(t.file, grain)
	buf := make([]byte, block)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if t.size > 0 && t.size%spaceEvery == 0 {
			if err := atomicfile.CheckSpace(t.file.Folder(), spaceEvery); err != nil {
				return err
			}
		}
		n, err := io.ReadFull(r, buf)
		if _, werr := w.WriteAt(buf[:n], t.size); werr != nil {
			return werr
		}
		t.size += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && n < len(buf) && ended(r):
			return t.file.Truncate(t.size)
		case err != nil:
			return err
		}
	}
}

// ended tells a short last block from packed data that breaks off.
func ended(r io.Reader) bool {
	var b [1]byte
	n, err := r.Read(b[:])
	return n == 0 && errors.Is(err, io.EOF)
}
