package physmem

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A probe is one format's opener. It returns a declined error for a file of
// another format; any other error is final.
type probe struct {
	format Format
	open   func(r io.ReaderAt, size int64) (*content, error)
}

// declined is the reason why a file is not of a format.
type declined string

func (d declined) Error() string { return string(d) }

// probes returns the formats in the order in which they are tried. A format
// that has no signature, such as raw memory, must not be in it: it would claim
// everything.
func probes() []probe {
	return []probe{
		{FormatELF, openELF},
		{FormatDMP, openDMP},
		{FormatKdump, openKdump},
	}
}

// Open opens a memory image, read-only; mode 0400, which QEMU gives its dumps,
// is enough. It wants a regular file or a block device. The Image must be
// closed.
func Open(path string) (*Image, error) { return OpenWith(path, Options{}) }

// OpenWith is Open with options; ones that make no sense are an *OptionError.
func OpenWith(path string, opt Options) (*Image, error) {
	// Opening a FIFO would wait for a writer, so it is refused before.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := openable(path, info.Mode()); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := openFile(f, opt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	m.closer = f
	return m, nil
}

// openable refuses what cannot be read at any offset, or has no end.
func openable(path string, mode fs.FileMode) error {
	var what string
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory, not a file"
	case mode&fs.ModeNamedPipe != 0:
		what = "a pipe, which can be read only once and in order"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeCharDevice != 0:
		what = "a character device"
	case mode&fs.ModeDevice != 0:
		return nil // a block device
	default:
		what = "not a regular file"
	}
	return fmt.Errorf("%s: %w", path, &UnsupportedError{
		What: what,
		Hint: "save the memory image to a regular file first",
	})
}

// openFile opens an image in a file that is open already.
func openFile(f *os.File, opt Options) (*Image, error) {
	// A block device's Stat says size 0; its end is found by seeking there.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return NewWith(FindData(f), size, opt)
}

// New opens a memory image of size bytes in r, which stays the caller's and
// must allow concurrent reads, as io.ReaderAt wants, while the Image is used.
//
// A file that no format claims gives an *UnknownFormatError; one that is
// recognised and not read here an *UnsupportedError; one that is malformed
// beyond use a *FormatError.
func New(r io.ReaderAt, size int64) (*Image, error) { return NewWith(r, size, Options{}) }

// NewWith is New with options; ones that make no sense are an *OptionError.
func NewWith(r io.ReaderAt, size int64, opt Options) (*Image, error) {
	if err := opt.Check(); err != nil {
		return nil, err
	}
	var tried []Refusal
	for _, p := range opt.probes() {
		c, err := p.open(r, size)
		if err == nil {
			c.format = p.format
			return &Image{size: size, content: *c}, nil
		}
		var reason declined
		if !errors.As(err, &reason) {
			return nil, err
		}
		tried = append(tried, Refusal{Format: p.format, Reason: string(reason)})
	}
	return nil, unrecognised(r, size, tried)
}
