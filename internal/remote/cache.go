package remote

import (
	"context"
	"sync"

	"windmp/internal/lru"
)

const (
	// blockSize is what is asked for at least, in bytes: walks of page tables and lists
	// read here and there, and from a far server a request takes as long as some tens of
	// kilobytes do (docs/performance.md).
	blockSize = 16 << 10
	// requestBlocks is what is asked for at most at once, in blocks: 1 MiB, so that
	// several connections share what is read in order.
	requestBlocks = 64
)

// A block is a piece of the file: blockSize bytes at a multiple of that, less at the end.
type block struct {
	index int64
	// ready is closed when data, or err, is there; before, who fetches it keeps in data
	// what came.
	ready chan struct{}
	data  []byte
	err   error

	// unread, the cache's under its lock, says that it was fetched ahead and not read so
	// far.
	unread bool
}

// A cache keeps blocks, those that were used last. What is being fetched is in it, and
// not counted.
type cache struct {
	mu       sync.Mutex
	fetching map[int64]*block
	kept     *lru.Cache[int64, *block]
	// behind has what was read and is not read again; nil while nobody has said that
	// what is read is read once.
	behind *lru.Cache[int64, *block]
	limit  int // blocks that are kept
	// unread is how many were fetched ahead, or are being, and were not read so far;
	// changed is closed, and made anew, when that becomes less.
	unread  int
	changed chan struct{}
}

func newCache(size int64) *cache {
	c := &cache{fetching: map[int64]*block{}, limit: max(1, int(min(size/blockSize, 1<<20))), changed: make(chan struct{})}
	c.kept = c.room(c.limit)
	return c
}

// room is room for so many blocks.
func (c *cache) room(blocks int) *lru.Cache[int64, *block] {
	return lru.New(int64(blocks)*blockSize, func(_ int64, b *block) { c.read(b) })
}

// find is a block that is there, or is being fetched.
func (c *cache) find(i int64) (*block, bool) {
	if b, ok := c.fetching[i]; ok {
		return b, true
	}
	if b, ok := c.kept.Peek(i); ok {
		return b, true
	}
	if c.behind == nil {
		return nil, false
	}
	return c.behind.Peek(i)
}

// take returns the blocks [first, end), and those of them that nobody fetches yet: the
// caller must.
func (c *cache) take(first, end int64) (all, missing []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := first; i < end; i++ {
		b, there := c.find(i)
		if !there {
			b = c.add(i)
			missing = append(missing, b)
		}
		all = append(all, b)
	}
	return all, missing
}

// takeAhead is take for what is to be read later: those of [first, end) that nobody
// fetches yet.
func (c *cache) takeAhead(first, end int64) (missing []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := first; i < end; i++ {
		if _, there := c.find(i); there {
			continue
		}
		b := c.add(i)
		b.unread = true
		c.unread++
		missing = append(missing, b)
	}
	return missing
}

func (c *cache) add(i int64) *block {
	b := &block{index: i, ready: make(chan struct{})}
	c.fetching[i] = b
	return b
}

// finish is for a block whose data is there, or that can't be had.
func (c *cache) finish(b *block, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.err = err
	close(b.ready)
	delete(c.fetching, b.index)
	if err != nil {
		c.read(b)
		return
	}
	c.kept.Put(b.index, b, blockSize)
}

// readOnce says that what is read from now on is read once, and then all of it but the
// last blocks can go; and so can what was read before.
func (c *cache) readOnce(behind int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.behind == nil {
		c.behind = c.room(min(behind, c.limit))
	}
	for i, b := range c.kept.Oldest() {
		c.kept.Remove(i)
		c.behind.Put(i, b, blockSize)
	}
}

// used is for blocks that were read. One that was forgotten meanwhile stays so, also where
// another of its place is there.
func (c *cache) used(list []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range list {
		if kept, _ := c.kept.Get(b.index); kept == b && c.behind != nil {
			c.kept.Remove(b.index)
			c.behind.Put(b.index, b, blockSize)
		} else if c.behind != nil {
			c.behind.Get(b.index)
		}
		c.read(b)
	}
}

// read takes a block from those that are unread.
func (c *cache) read(b *block) {
	if !b.unread {
		return
	}
	b.unread = false
	c.unread--
	close(c.changed)
	c.changed = make(chan struct{})
}

// free is how many blocks may be fetched ahead, if there may be so many unread ones;
// changed is closed when there may be more.
func (c *cache) free(most int) (n int, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return most - c.unread, c.changed
}

// waitRoom waits until n blocks may be fetched ahead.
func (c *cache) waitRoom(ctx context.Context, n, most int) error {
	for {
		free, changed := c.free(most)
		if free >= min(n, most) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// requests cuts ascending blocks into those that one request asks for: they follow each
// other, and are not too many.
func requests(blocks []*block) (out [][]*block) {
	for len(blocks) > 0 {
		n := 1
		for n < len(blocks) && n < requestBlocks && blocks[n].index == blocks[n-1].index+1 {
			n++
		}
		out = append(out, blocks[:n])
		blocks = blocks[n:]
	}
	return out
}
