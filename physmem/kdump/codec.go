package kdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/anchore/go-lzo"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"windmp/internal/inflate"
)

// Flags of a page descriptor, and of the header's status, which says what the
// pages may have (makedumpfile diskdump_mod.h, DUMP_DH_*).
const (
	kdumpZlib       = 0x1
	kdumpLZO        = 0x2
	kdumpSnappy     = 0x4
	kdumpIncomplete = 0x8 // of the status: the writer ran out of space
	kdumpZstd       = 0x20
)

// maxZstdMemory caps what a page's zstd frame may ask for. A frame of 64 KiB has
// no use for a larger window than its content, but a streaming writer may
// have stated its own.
const maxZstdMemory = 8 << 20

var errPageSize = errors.New("it does not decompress to one page")

// pageCodec decompresses pages. It is not for several goroutines at once.
type pageCodec struct {
	src  bytes.Reader
	zlib inflate.Zlib
	zstd *zstd.Decoder // nil until it is needed
	over [1]byte       // room for a byte that must not come
}

// decode decompresses src to the page dst, which it must fill exactly.
func (c *pageCodec) decode(dst, src []byte, flags uint32) error {
	switch flags {
	case 0:
		if len(src) != len(dst) {
			return errPageSize
		}
		copy(dst, src)
		return nil
	case kdumpZlib:
		return c.inflate(dst, src)
	case kdumpLZO:
		n, err := lzo.Decompress(src, dst)
		return exactly(n, len(dst), "lzo", err)
	case kdumpSnappy:
		n, err := snappy.DecodedLen(src)
		if err == nil && n == len(dst) {
			_, err = snappy.Decode(dst, src)
		}
		return exactly(n, len(dst), "snappy", err)
	case kdumpZstd:
		return c.unzstd(dst, src)
	default:
		return fmt.Errorf("flags 0x%x, want 0 (raw), 0x1 (zlib), 0x2 (lzo), 0x4 (snappy) or 0x20 (zstd)", flags)
	}
}

// exactly returns the error of a library, or that of a wrong size.
func exactly(n, want int, name string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case n != want:
		return errPageSize
	default:
		return nil
	}
}

func (c *pageCodec) inflate(dst, src []byte) error {
	c.src.Reset(src)
	if err := c.zlib.Reset(&c.src); err != nil {
		return fmt.Errorf("zlib: %w", err)
	}
	if _, err := io.ReadFull(&c.zlib, dst); err != nil {
		return fmt.Errorf("zlib: %w", err)
	}
	// The end of the stream has the checksum.
	switch n, err := io.ReadFull(&c.zlib, c.over[:]); {
	case n > 0:
		return errPageSize
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("zlib: %w", err)
	}
	return nil
}

func (c *pageCodec) unzstd(dst, src []byte) error {
	if c.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxZstdMemory),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
		c.zstd = z
	}
	out, err := c.zstd.DecodeAll(src, dst[:0:len(dst)])
	return exactly(len(out), len(dst), "zstd", err)
}
