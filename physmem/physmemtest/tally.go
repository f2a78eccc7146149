package physmemtest

import (
	"io"
	"sync/atomic"
)

// Tally is a reader that counts what is read of it.
type Tally struct {
	io.ReaderAt
	Read atomic.Int64 // bytes
}

// ReadAt implements io.ReaderAt.
func (c *Tally) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.Read.Add(int64(n))
	return n, err
}
