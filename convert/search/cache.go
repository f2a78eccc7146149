package search

import (
	"io"
	"sync"

	"windmp/physmem"
)

const (
	// smallRead is the longest read, in bytes, that goes through the cache: entries
	// of page tables, a few words of a structure.
	smallRead = 64
	// cachedPages bounds the cache: 4 MiB.
	cachedPages = 1024
)

// A cache answers short reads of physical memory from whole pages. It may be used by
// several goroutines; the zero value is empty.
type cache struct {
	mu    sync.Mutex
	pages map[int64][]byte
}

// readAt is the ReadAt of mem, but for how often that reads. What mem once had it must
// always have; it may come to have more, since a page that it does not have all of is
// not kept.
func (c *cache) readAt(mem io.ReaderAt, p []byte, off int64) (int, error) {
	at := off & (physmem.PageSize - 1)
	if off < 0 || len(p) > smallRead || at+int64(len(p)) > physmem.PageSize {
		return mem.ReadAt(p, off)
	}
	c.mu.Lock()
	b, ok := c.pages[off-at]
	c.mu.Unlock()
	if !ok {
		b = make([]byte, physmem.PageSize)
		if n, _ := mem.ReadAt(b, off-at); n < len(b) {
			return mem.ReadAt(p, off) // what is there of it, and why not the rest
		}
		c.keep(off-at, b)
	}
	return copy(p, b[at:]), nil
}

// keep keeps a page.
func (c *cache) keep(off int64, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = map[int64][]byte{}
	}
	if len(c.pages) >= cachedPages {
		clear(c.pages)
	}
	c.pages[off] = b
}
