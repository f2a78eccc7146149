package search

import (
	"io"
	"sync"

	"windmp/vtop"
)

const (
	// smallRead is the longest read, in bytes, that goes through the cache: entries
	// of page tables, a few words of a structure.
	smallRead = 64
	// cachedPages bounds the cache: 4 MiB.
	cachedPages = 1024
)

// A Cache answers small reads of physical memory from whole pages. The search for
// a kernel walks the same page tables thousands of times. It may be used by several
// goroutines.
type Cache struct {
	mem io.ReaderAt

	mu    sync.Mutex
	pages map[int64][]byte
}

// NewCache is an empty cache of mem, guest-physical memory.
func NewCache(mem io.ReaderAt) *Cache {
	return &Cache{mem: mem, pages: map[int64][]byte{}}
}

// ReadAt is mem's, but for how often it reads.
func (c *Cache) ReadAt(p []byte, off int64) (int, error) {
	const page = 0x1000
	at := off & (page - 1)
	if off < 0 || len(p) > smallRead || at+int64(len(p)) > page {
		return c.mem.ReadAt(p, off)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.pages[off-at]
	if !ok {
		b = make([]byte, page)
		if n, _ := c.mem.ReadAt(b, off-at); n < page {
			return c.mem.ReadAt(p, off) // what is there of it, and why not the rest
		}
		if len(c.pages) >= cachedPages {
			clear(c.pages)
		}
		c.pages[off-at] = b
	}
	return copy(p, b[at:]), nil
}

// Space is an address space whose page tables are read through the cache.
func (c *Cache) Space(root uint64, mode *vtop.Mode) *vtop.Space {
	return vtop.NewSpace(c, root, mode)
}
