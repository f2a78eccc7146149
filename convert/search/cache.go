package search

import (
	"io"
	"sync"

	"windmp/internal/lru"
	"windmp/physmem"
)

const (
	// smallRead is the longest read, in bytes, that goes through the cache: entries
	// of page tables, a few words of a structure.
	smallRead = 64
	// cacheLimit bounds the cache, in bytes.
	cacheLimit = 4 << 20
)

// A cache answers short reads of physical memory from whole pages, those used last. It
// may be used by several goroutines; the zero value is empty.
type cache struct {
	mu    sync.Mutex
	pages *lru.Cache[int64, []byte]
}

// readAt is the ReadAt of mem, but for how often that reads. What mem once had it must
// always have; it may come to have more, since a page that it does not have all of is
// not kept.
func (c *cache) readAt(mem io.ReaderAt, p []byte, off int64) (int, error) {
	at := off & (physmem.PageSize - 1)
	if off < 0 || len(p) > smallRead || at+int64(len(p)) > physmem.PageSize {
		return mem.ReadAt(p, off)
	}
	b, ok := c.page(off - at)
	if !ok {
		b = make([]byte, physmem.PageSize)
		if n, _ := mem.ReadAt(b, off-at); n < len(b) {
			return mem.ReadAt(p, off) // what is there of it, and why not the rest
		}
		c.keep(off-at, b)
	}
	return copy(p, b[at:]), nil
}

// page is a page that was kept.
func (c *cache) page(off int64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		return nil, false
	}
	return c.pages.Get(off)
}

// keep keeps a page.
func (c *cache) keep(off int64, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = lru.New[int64, []byte](cacheLimit, nil)
	}
	c.pages.Put(off, b, physmem.PageSize)
}
