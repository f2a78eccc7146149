package report

import (
	"path/filepath"
	"strings"
)

// Compression is how an output file is packed, chosen by its name.
type Compression string

// The ways of packing. Microsoft's debugger engine 10.0.10240 opens a zip that
// holds one dump as it is.
const (
	CompressNone Compression = ""
	CompressZstd Compression = "zstd"
	CompressGzip Compression = "gzip"
	CompressZip  Compression = "zip"
)

// CompressionOf is the packing that a file's name asks for: .zst, .gz, .zip.
func CompressionOf(name string) Compression {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".zst":
		return CompressZstd
	case ".gz":
		return CompressGzip
	case ".zip":
		return CompressZip
	default:
		return CompressNone
	}
}
