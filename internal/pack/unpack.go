package convert

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"windmp/internal/atomicfile"
	"windmp/physmem"
)

// Magic numbers of what is unpacked (RFC 1952, RFC 8878, POSIX ustar).
var (
	magicGzip = []byte{0x1f, 0x8b}
	magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicTar  = []byte("ustar")
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
	// zstdMemory bounds what a forged frame can make the decoder allocate: the
	// largest window of zstd --long=27, its default limit for reading.
	zstdMemory = 128<<20 + 1<<20
)

// packed tells how a file is packed by its first bytes.
func packed(r io.ReaderAt) Compression {
	var head [4]byte
	n, _ := r.ReadAt(head[:], 0) // a short or unreadable file is for others to judge
	switch {
	case bytes.HasPrefix(head[:n], magicGzip):
		return CompressGzip
	case bytes.HasPrefix(head[:n], magicZstd):
		return CompressZstd
	default:
		return CompressNone
	}
}

// openSource opens the source, unpacked first if need be. The function closes
// what was opened.
func openSource(ctx context.Context, path string, opt Options) (*physmem.Image, func() error, error) {
	opt.enter(StageOpen)
	t, err := unpackFile(ctx, path, opt.TempDir, func(size int64) *meter {
		return newMeter(StageUnpack, size, 0, opt.Progress)
	})
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		im, err := openInput(path, opt.Input)
		if err != nil {
			return nil, nil, err
		}
		return im, im.Close, nil
	}
	im, err := physmem.NewWith(t, t.size, opt.Input)
	if err != nil {
		return nil, nil, &StageError{Stage: StageOpen, Err: errors.Join(err, t.Close())}
	}
	return im, t.Close, nil
}

// unpackFile unpacks a gzip or zstd file, with or without a tar in it as
// virtctl hands it out, into a temporary file of dir, sparse and without a name
// where the system allows that. It returns nil when the file is not packed; of
// one that is, start gets the size and returns what counts its bytes. The error
// is a [*StageError].
func unpackFile(ctx context.Context, path, dir string, start func(size int64) *meter) (*unpackedFile, error) {
	// What is no regular file (a FIFO would wait for a writer) is physmem's to
	// judge.
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil //nolint:nilnil,nilerr // documented: nothing to unpack
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &StageError{Stage: StageOpen, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	how := packed(f)
	if how == CompressNone {
		return nil, nil //nolint:nilnil // documented: nothing to unpack
	}
	m := start(st.Size())
	t, err := unpack(ctx, how, io.NewSectionReader(m.reader(f), 0, st.Size()), dir)
	if err != nil {
		return nil, &StageError{Stage: StageUnpack, Err: err}
	}
	m.finish()
	return t, nil
}

// unpack unpacks a stream into a temporary file.
func unpack(ctx context.Context, how Compression, f io.Reader, dir string) (*unpackedFile, error) {
	content, err := newUnpacker(how, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, err)
	}
	defer content.Close() //nolint:errcheck // only read
	core, err := coreIn(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, err)
	}
	t, err := newUnpackedFile(dir)
	if err != nil {
		return nil, err
	}
	if err := t.fill(ctx, core); err != nil {
		return nil, errors.Join(fmt.Errorf("unpacking %s data: %w", how, err), t.Close())
	}
	return t, nil
}

func newUnpacker(how Compression, f io.Reader) (io.ReadCloser, error) {
	if how == CompressGzip {
		return gzip.NewReader(f)
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
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
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

// An unpackedFile is a temporary file that is gone when it is closed.
type unpackedFile struct {
	*atomicfile.Unnamed
	size int64
}

// unpackedName stands in the names of the temporary files of packed sources.
const unpackedName = "unpacked"

func newUnpackedFile(dir string) (*unpackedFile, error) {
	f, err := atomicfile.CreateUnnamed(dir, unpackedName)
	if err != nil {
		return nil, err
	}
	return &unpackedFile{Unnamed: f}, nil
}

// fill copies r into the file, leaving holes for zeros.
func (t *unpackedFile) fill(ctx context.Context, r io.Reader) error {
	w := atomicfile.NewHoleWriter(t, SparseAlways.grain())
	buf := make([]byte, blockSize)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if t.size > 0 && t.size%spaceEvery == 0 {
			if err := atomicfile.CheckSpace(t.Folder(), spaceEvery); err != nil {
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
			return t.Truncate(t.size)
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
