package migration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
)

// windowSize is how much of the file is read at once while the stream is walked: enough
// for the speed of the disk.
const windowSize = 1 << 20

// errCut says that the file ends inside what is read.
var errCut = fmt.Errorf("the stream is cut: %w", io.ErrUnexpectedEOF)

// A cursor reads a file in order, a window at a time, and may be set anywhere. All
// numbers of the stream are big-endian.
type cursor struct {
	ctx  context.Context // of opening: a walk over many GiB ends with it
	src  physmem.Source
	has  *physmem.Length // of the file, which may grow while it is walked
	pos  uint64          // file offset of what is read next
	base uint64          // file offset of the window
	win  []byte
	buf  []byte
}

func newCursor(ctx context.Context, src physmem.Source) *cursor {
	return &cursor{ctx: ctx, src: src, has: physmem.NewLength(src)}
}

// peek returns the next n bytes, at most windowSize, without going on.
func (c *cursor) peek(n int) ([]byte, error) {
	at := c.pos - c.base                                              // a position below the window wraps, and is outside
	if at > uint64(len(c.win)) || uint64(len(c.win))-at < uint64(n) { //nolint:gosec // not negative
		if err := c.fill(n); err != nil {
			return nil, err
		}
		at = 0
	}
	return c.win[at:][:n], nil
}

// fill reads a window of at least n bytes from the position on.
func (c *cursor) fill(n int) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	have := c.has.Clip(c.pos, windowSize)
	if have < uint64(n) { //nolint:gosec // not negative
		return errCut
	}
	if uint64(len(c.buf)) < have { // a small file needs no whole window
		c.buf = make([]byte, have)
	}
	c.base, c.win = c.pos, c.buf[:have]
	got, err := binio.ReadSome(c.src, c.win, int64(c.pos)) //nolint:gosec // inside the file
	if err != nil {
		c.win = nil
		return &physmem.ReadError{Offset: int64(c.pos) + int64(got), Err: err} //nolint:gosec // inside the file
	}
	return nil
}

// take returns the next n bytes, which are valid until the next call.
func (c *cursor) take(n int) ([]byte, error) {
	b, err := c.peek(n)
	c.pos += uint64(len(b))
	return b, err
}

// skip goes on by n bytes, which must be there.
func (c *cursor) skip(n uint64) error {
	if !c.has.Has(c.pos, n) {
		return errCut
	}
	c.pos += n
	return nil
}

func (c *cursor) u8() (byte, error) {
	b, err := c.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (c *cursor) u32() (uint32, error) {
	b, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.take(8)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// name reads a length of one byte and as many bytes.
func (c *cursor) name() (string, error) {
	n, err := c.u8()
	if err != nil {
		return "", err
	}
	b, err := c.take(int(n))
	return string(b), err
}

// find returns the file offset of the next place of a pattern from the position on,
// below end; false if there is none. The position stays.
func (c *cursor) find(pattern []byte, end uint64) (uint64, bool, error) {
	start := c.pos
	defer func() { c.pos = start }()
	for {
		_, err := c.peek(len(pattern))
		if errors.Is(err, errCut) {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		b := c.win[c.pos-c.base:]
		if i := bytes.Index(b, pattern); i >= 0 {
			at := c.pos + uint64(i)
			return at, at < end, nil
		}
		if c.pos += uint64(len(b) - len(pattern) + 1); c.pos >= end { //nolint:gosec // it has as many
			return 0, false, nil
		}
	}
}
