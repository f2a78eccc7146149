package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"windmp/internal/atomicfile"
	"windmp/internal/inflate"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Magic numbers of what is unpacked (RFC 1952, RFC 8878, the xz file format, bzip2's
// decompress.c, POSIX ustar, PKWARE APPNOTE).
var (
	magicGzip  = []byte{0x1f, 0x8b}
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicXz    = []byte("\xfd7zXZ\x00")
	magicBzip2 = []byte("BZh")
	// blockBzip2 is behind the digit of the level.
	blockBzip2 = []byte("1AY&SY")
	magicTar   = []byte("ustar")
	magicZip   = []byte("PK\x03\x04")
)

const (
	tarMagicOffset = 257
	tarBlock       = 512
	// leastCore is smaller than any raw memory: what is smaller in an archive is a
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
	head := make([]byte, tarBlock)
	n, _ := r.ReadAt(head, 0) // a short or unreadable file is for others to judge
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, magicGzip):
		return Gzip
	case isZstd(r):
		return Zstd
	case bytes.HasPrefix(head, magicXz):
		return Xz
	case bytes.HasPrefix(head, magicBzip2) && bytes.Index(head, blockBzip2) == len(magicBzip2)+1:
		return Bzip2
	case bytes.HasPrefix(head, magicZip):
		return Zip
	case isTar(head):
		return Tar
	default:
		return None
	}
}

// Unpacks reports whether [Unpack] knows a way of packing.
func Unpacks(how Method) bool {
	return slices.Contains([]Method{Gzip, Zstd, Xz, Bzip2, Zip, Tar}, how)
}

// Options say what is unpacked, and where to.
type Options struct {
	// Dir is the folder of the temporary file, that for temporary files if it is
	// empty.
	Dir string
	// Limit is the most bytes that are written to it, without holes; 0 for no limit.
	Limit int64
	// Begin, when set, is called before a memory image is unpacked, of which no more
	// than the beginning was read. An error is for not doing so.
	Begin func() error
	// Front is what the file is to have in front of what is unpacked.
	Front []byte
	// Beside has the name and the neighbours of what is unpacked; nil for none.
	Beside physmem.Source
	// Input says what the file must be that is unpacked. Where raw memory is asked
	// for, anything is.
	Input open.Options
}

// A LimitError says that more is packed in a file than may be written to the disk.
type LimitError struct{ Limit int64 } // bytes

func (e *LimitError) Error() string {
	return fmt.Sprintf("what is packed takes more than the limit of %d bytes", e.Limit)
}

// Unpack begins to unpack a file, packed as [Recognise] says of its beginning, into a
// temporary file: the stream, or of an archive in or around it the one member that
// [open.Beginning] does not refuse. Nothing is written of what it refuses. The rest is
// unpacked while the file is read: [File.Wait] has the error of that. It ends with the
// context.
//
// An error says how the file is packed. It is a wrapped [*ByNameError] where only a name
// tells the member, a wrapped one of Beginning for what holds
// no memory image, [ErrCut] where it ends too early, a wrapped [*LimitError], and a wrapped
// [*atomicfile.SpaceError] when the folder's file system fills up.
func Unpack(ctx context.Context, how Method, r *io.SectionReader, opt Options) (*File, error) {
	c, err := newContents(how, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", how, early(err))
	}
	p := &picker{opt: &opt}
	f, err := p.first(ctx, c)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", how, asCut(err))
	}
	f.begin(ctx, func(ctx context.Context) error {
		defer c.close()
		if err := p.finish(ctx, c, f); err != nil {
			return fmt.Errorf("%s: %w", how, asCut(err))
		}
		return nil
	})
	return f, nil
}

// early is asCut of where packed data begins: there, the end itself is early.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCut
	}
	return asCut(err)
}

// newFile is an empty file for what is unpacked.
func newFile(opt *Options, member string) (*File, error) {
	if opt.Begin != nil {
		if err := opt.Begin(); err != nil {
			return nil, err
		}
	}
	made, err := newRoom(opt.Dir)
	if err != nil {
		return nil, err
	}
	return &File{file: made, member: member, grown: newGrowth()}, nil
}

// begin has the file unpacked beside whoever reads it.
func (t *File) begin(ctx context.Context, unpack func(context.Context) error) {
	ctx, t.stop = context.WithCancelCause(ctx)
	t.ended.Go(func() {
		defer t.stop(nil)
		t.grown.end(unpack(ctx))
	})
}

// newStream unpacks a stream.
func newStream(how Method, f *io.SectionReader) (io.ReadCloser, error) {
	switch how {
	case Gzip:
		return inflate.Gzip(f)
	case Xz:
		z, err := newXz(f)
		return io.NopCloser(z), err
	case Bzip2:
		return newBzip2(f), nil
	case Tar:
		return io.NopCloser(f), nil
	case None, Zstd, Zip:
	}
	return newZstd(f)
}

// fill writes what is packed in r into the file, behind what it is to have in front.
func (t *File) fill(ctx context.Context, r io.Reader, opt *Options) error {
	limited := &limitedWriter{t.file, opt.Limit, 0}
	defer func() { t.written = limited.written }()
	size, err := t.copy(ctx, io.MultiReader(bytes.NewReader(opt.Front), r), limited)
	if err == nil {
		err = t.file.Truncate(size)
	}
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	t.data, err = t.file.finder()
	return err
}

// copy copies r to the writer of the file, leaving holes for zeros, and says how much
// that was.
func (t *File) copy(ctx context.Context, r io.Reader, to io.WriterAt) (size int64, err error) {
	w := atomicfile.NewHoleWriter(to, grain)
	buf := make([]byte, block)
	for {
		if err := ctx.Err(); err != nil {
			return size, context.Cause(ctx)
		}
		if size > 0 && size%spaceEvery == 0 {
			if err := t.file.space(spaceEvery); err != nil {
				return size, err
			}
		}
		n, err := io.ReadFull(r, buf)
		if _, werr := w.WriteAt(buf[:n], size); werr != nil {
			return size, werr
		}
		size += int64(n)
		t.grown.to(size)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && n < len(buf) && ended(r):
			return size, nil
		case err != nil:
			return size, err
		}
	}
}

// A limitedWriter refuses to write more than the limit, if that is not 0.
type limitedWriter struct {
	w              io.WriterAt
	limit, written int64
}

// WriteAt implements io.WriterAt.
func (l *limitedWriter) WriteAt(p []byte, off int64) (int, error) {
	if l.written += int64(len(p)); l.limit > 0 && l.written > l.limit {
		return 0, &LimitError{l.limit}
	}
	return l.w.WriteAt(p, off)
}

// ended tells a short last block from packed data that breaks off.
func ended(r io.Reader) bool {
	var b [1]byte
	n, err := r.Read(b[:])
	return n == 0 && errors.Is(err, io.EOF)
}
