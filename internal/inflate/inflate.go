//go:build !js

package inflate

import (
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

func newDeflate(r io.Reader) io.ReadCloser { return flate.NewReader(r) }

func newGzip(r io.Reader) (gzipReader, error) { return gzip.NewReader(r) }

func newZlib(r io.Reader) (io.ReadCloser, error) { return zlib.NewReader(r) }
