// Package inflate unpacks deflate streams: by klauspost's packages, which are faster than
// Go's (docs/performance.md), and in a browser by Go's, which its module has for zip files
// in any case.
package inflate

import (
	"compress/zlib"
	"io"
)

// Deflate unpacks a raw stream (RFC 1951).
func Deflate(r io.Reader) io.ReadCloser { return newDeflate(r) }

// Gzip unpacks a gzip stream (RFC 1952), and those that follow it.
func Gzip(r io.Reader) (io.ReadCloser, error) { return newGzip(r) }

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
