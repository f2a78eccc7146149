// Package inflate unpacks deflate streams: by klauspost's packages, which are faster than
// Go's (docs/performance.md), and in a browser by Go's, which its module has for zip files
// in any case.
package inflate

import (
	"bufio"
	"compress/zlib"
	"errors"
	"io"
)

// Deflate unpacks a raw stream (RFC 1951).
func Deflate(r io.Reader) io.ReadCloser { return newDeflate(r) }

// Gzip unpacks a gzip stream (RFC 1952), and those that follow it. Zeros behind a stream are
// passed over, as gzip does: a tape or a block device has them.
func Gzip(r io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, gzipBlock)
	z, err := newGzip(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzips{z, in}, nil
}

// gzipBlock is what is read at once, in bytes: no more, for a look at what is packed reads one.
const gzipBlock = 4 << 10

// gzipReader is what both packages have.
type gzipReader interface {
	io.ReadCloser
	Reset(r io.Reader) error
	Multistream(ok bool)
}

// gzips are streams that follow each other.
type gzips struct {
	gzipReader
	in *bufio.Reader
}

// Read implements io.Reader.
func (g *gzips) Read(p []byte) (int, error) {
	for {
		n, err := g.gzipReader.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil // the next read says it again
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// next begins the next stream. The error is io.EOF where there is none.
func (g *gzips) next() error {
	for {
		switch b, err := g.in.ReadByte(); {
		case err != nil:
			return err
		case b != 0:
			if err := g.in.UnreadByte(); err != nil {
				return err
			}
			err := g.Reset(g.in)
			g.Multistream(false)
			return err
		}
	}
}

// A Zlib unpacks streams of zlib (RFC 1950), one after the other. The zero value is ready.
type Zlib struct{ r io.ReadCloser }

// Reset begins a stream. A stream that is not read to its end costs nothing.
func (z *Zlib) Reset(src io.Reader) error {
	if z.r != nil {
		return z.r.(zlib.Resetter).Reset(src, nil) //nolint:forcetypeassert,errcheck // both packages say so
	}
	r, err := newZlib(src)
	if err == nil {
		z.r = r
	}
	return err
}

// Read implements io.Reader.
func (z *Zlib) Read(p []byte) (int, error) { return z.r.Read(p) }
