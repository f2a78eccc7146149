package pack

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"windmp/internal/binio"
)

// How many bytes the decoders read before they say that what is behind a stream is no other
// one (Go's compress/bzip2; klauspost/compress/zstd).
const (
	aheadBzip2 = 2
	aheadZstd  = 4
)

// errNoBzip2 is what compress/bzip2 says then.
const errNoBzip2 = bzip2.StructuralError("bad magic value in continuation file")

// newBzip2 unpacks bzip2, and takes zeros behind it for its end.
func newBzip2(f *io.SectionReader) io.ReadCloser {
	t := &tail{f: f, ahead: aheadBzip2}
	b := bufio.NewReaderSize(t, block)
	return &padded{
		ReadCloser: io.NopCloser(bzip2.NewReader(b)), in: t, last: errNoBzip2,
		at: func() int64 { return t.given - int64(b.Buffered()) },
	}
}

// newZstd unpacks zstd, and takes zeros behind it for its end.
func newZstd(f *io.SectionReader) (io.ReadCloser, error) {
	t := &tail{f: f, ahead: aheadZstd}
	d, err := zstd.NewReader(t, zstd.WithDecoderMaxWindow(zstdMemory), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &padded{ReadCloser: d.IOReadCloser(), in: t, last: zstd.ErrMagicMismatch, at: func() int64 { return t.given }}, nil
}

// padded unpacks what may have zeros behind it, as a tape or a block device has.
type padded struct {
	io.ReadCloser
	in   *tail
	last error        // of what is behind a stream and no other one
	at   func() int64 // how far the decoder has read
	end  bool
}

// Read implements io.Reader.
func (p *padded) Read(b []byte) (int, error) {
	if p.end {
		return 0, io.EOF
	}
	n, err := p.ReadCloser.Read(b)
	if errors.Is(err, p.last) {
		if p.end, err = p.in.zeros(p.at()-int64(p.in.ahead), err); p.end {
			err = io.EOF
		}
	}
	return n, err
}

// A tail gives a file; behind one that ends in zeros it gives as many more as
// make the decoder look whether a stream begins.
type tail struct {
	f     *io.SectionReader
	ahead int   // bytes that the decoder looks at
	given int64 // bytes
	zero  bool  // the last of them
	more  int   // of them that the file does not have
}

// Read implements io.Reader.
func (t *tail) Read(p []byte) (int, error) {
	n, err := t.f.Read(p)
	if n == 0 && errors.Is(err, io.EOF) && t.zero && t.more < t.ahead {
		n, err = min(len(p), t.ahead-t.more), nil
		clear(p[:n])
		t.more += n
	}
	if n > 0 {
		t.zero = p[n-1] == 0
	}
	t.given += int64(n)
	return n, err
}

// zeros tells whether there is nothing else from off on; if not, or if that can't be read,
// with the error that says so.
func (t *tail) zeros(off int64, none error) (bool, error) {
	b := make([]byte, block)
	for off < t.f.Size() {
		n, err := t.f.ReadAt(b, off)
		switch {
		case !binio.IsZero(b[:n]):
			return false, none
		case n == 0:
			return false, err
		case err != nil && !errors.Is(err, io.EOF):
			return false, err
		}
		off += int64(n)
	}
	return true, nil
}
