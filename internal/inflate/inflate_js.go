package inflate

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
)

func newDeflate(r io.Reader) io.ReadCloser { return flate.NewReader(r) }

func newGzip(r io.Reader) (gzipReader, error) { return gzip.NewReader(r) }

func newZlib(r io.Reader) (io.ReadCloser, error) { return zlib.NewReader(r) }
