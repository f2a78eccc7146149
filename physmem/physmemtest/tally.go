package physmemtest

import (
	"io"
	"sync/atomic"
)

// Tally is a reader that counts what is read of it.
type Tally struct {
	io.ReaderAt
	Before func(off int64) // is told of each read, nil for nobody
	Read   atomic.Int64    // bytes
}

// ReadAt implements io.ReaderAt.
func (c *Tally) ReadAt(p []byte, off int64) (int, error) {
	if c.Before != nil {
		c.Before(off)
	}
	n, err := c.ReaderAt.ReadAt(p, off)
	c.Read.Add(int64(n))
	return n, err
}
