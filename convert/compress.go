package convert

import (
	"context"
	"io"

	"windmp/internal/pack"
)

// Compression is how an output file is packed, chosen by its name.
type Compression = pack.Method

// The ways of packing. Microsoft's debugger engine 10.0.10240 opens a zip that
// holds one dump as it is.
const (
	CompressNone = pack.None
	CompressZstd = pack.Zstd
	CompressGzip = pack.Gzip
	CompressZip  = pack.Zip
)

// CompressionOf is the packing that a file's name asks for: .zst, .gz, .zip.
func CompressionOf(name string) Compression { return pack.MethodOf(name) }

// writePacked streams the dump through a packer into w. name is the output's,
// of which a zip takes the dump's name.
func (p *Plan) writePacked(ctx context.Context, w io.Writer, name string, opt Options) error {
	packer, err := pack.NewWriter(w, name)
	if err != nil {
		return err
	}
	err = p.stream(ctx, packer, opt)
	// After an error Close ends the packer's goroutines, and says it once more.
	if cerr := packer.Close(); err == nil {
		err = cerr
	}
	return err
}
