package search

import (
	"io"
	"sync"
	"sync/atomic"

	"windmp/internal/lru"
	"windmp/physmem"
)

const (
	// smallRead is the longest read, in bytes, that goes through the cache: entries
	// of page tables, a few words of a structure.
	smallRead = 64
	// cacheLimit bounds the cache, in bytes.
	cacheLimit = 4 << 20
	// atHand is how many pages are found without a lock: more than a walk has tables.
	atHand = 32
)

// A cache answers short reads of physical memory from whole pages, those used last. It
// may be used by several goroutines; the zero value is empty.
type cache struct {
	// recent are pages that were read last, each at its address's place.
	recent [atHand]atomic.Pointer[page]

	mu    sync.Mutex
	pages *lru.Cache[int64, *page]
}

// page is a page of physical memory.
type page struct {
	pa      int64
	content []byte
}

// blank are pages that nobody but who took one has, of whatever content: many that are
// asked for are not all there, and one that was kept is never used for another.
var blank = sync.Pool{New: func() any { return &page{content: make([]byte, physmem.PageSize)} }}

// readAt is the ReadAt of mem, but for how often that reads. What mem once had it must
// always have; it may come to have more, since a page that it does not have all of is
// not kept.
func (c *cache) readAt(mem io.ReaderAt, p []byte, off int64) (int, error) {
	at := off & (physmem.PageSize - 1)
	if off < 0 || len(p) > smallRead || at+int64(len(p)) > physmem.PageSize {
		return mem.ReadAt(p, off)
	}
	recent := &c.recent[off/physmem.PageSize%atHand]
	x := recent.Load()
	if x == nil || x.pa != off-at {
		if x = c.page(mem, off-at); x == nil {
			return mem.ReadAt(p, off) // what is there of it, and why not the rest
		}
		recent.Store(x)
	}
	return copy(p, x.content[at:]), nil
}

// page is a page that was kept, or is read and then kept; nil if not all of it is there.
func (c *cache) page(mem io.ReaderAt, pa int64) *page {
	if x := c.kept(pa); x != nil {
		return x
	}
	x, _ := blank.Get().(*page) // nothing else is put there
	if n, _ := mem.ReadAt(x.content, pa); n < len(x.content) {
		blank.Put(x)
		return nil
	}
	x.pa = pa
	c.keep(x)
	return x
}

// kept is a page that was kept, or nil.
func (c *cache) kept(pa int64) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		return nil
	}
	x, _ := c.pages.Get(pa)
	return x
}

// keep keeps a page.
func (c *cache) keep(x *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = lru.New[int64, *page](cacheLimit, nil)
	}
	c.pages.Put(x.pa, x, physmem.PageSize)
}
