package remote

import (
	"container/list"
	"context"
	"sync"
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
	// ready is closed when data, or err, is there.
	ready chan struct{}
	data  []byte
	err   error

	// The cache's, under its lock: where it is in which order of use, nil while it is
	// being fetched; and whether it was fetched ahead and not read so far.
	place  *list.Element
	order  *list.List
	unread bool
}

// A cache keeps blocks, those that were used last. What is being fetched is in it, and
// not counted.
type cache struct {
	mu     sync.Mutex
	blocks map[int64]*block
	order  *list.List // of *block, the last one used in front
	limit  int        // blocks in it
	// behind is the same for what was read and is not read again, and at most so many.
	behind      *list.List
	behindLimit int
	once        bool // what is read goes there
	// unread is how many were fetched ahead, or are being, and were not read so far;
	// changed is closed, and made anew, when that becomes less.
	unread  int
	changed chan struct{}
}

func newCache(size int64) *cache {
	return &cache{
		blocks: map[int64]*block{}, order: list.New(), behind: list.New(), limit: max(1, int(min(size/blockSize, 1<<20))),
		changed: make(chan struct{}),
	}
}

// take returns the blocks [first, end), and those of them that nobody fetches yet: the
// caller must.
func (c *cache) take(first, end int64) (all, missing []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := first; i < end; i++ {
		b, there := c.blocks[i]
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
		if _, there := c.blocks[i]; there {
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
	c.blocks[i] = b
	return b
}

// finish is for a block whose data is there, or that can't be had.
func (c *cache) finish(b *block, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.err = err
	close(b.ready)
	if err != nil {
		c.drop(b)
		return
	}
	c.put(b, c.order)
}

// readOnce says that what is read from now on is read once, and then all of it but the
// last blocks can go; and so can what was read before.
func (c *cache) readOnce(behind int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.once, c.behindLimit = true, min(behind, c.limit)
	for e := c.order.Back(); e != nil; e = c.order.Back() {
		c.put(blockOf(e), c.behind)
	}
}

// put makes a block the first one in an order of use, and forgets the last if there are
// too many.
func (c *cache) put(b *block, order *list.List) {
	if b.place != nil {
		b.order.Remove(b.place)
	}
	b.order, b.place = order, order.PushFront(b)
	for c.order.Len() > c.limit {
		c.drop(blockOf(c.order.Back()))
	}
	for c.behind.Len() > c.behindLimit {
		c.drop(blockOf(c.behind.Back()))
	}
}

// blockOf is the block in an order of use.
func blockOf(e *list.Element) *block {
	b, _ := e.Value.(*block) // nothing else is put there
	return b
}

// drop forgets a block.
func (c *cache) drop(b *block) {
	if b.place != nil {
		b.order.Remove(b.place)
		b.place = nil
	}
	delete(c.blocks, b.index)
	c.read(b)
}

// used is for blocks that were read.
func (c *cache) used(list []*block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range list {
		switch {
		case b.place == nil:
		case c.once:
			c.put(b, c.behind)
		default:
			c.put(b, c.order)
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

// room is how many blocks may be fetched ahead, if there may be so many unread ones;
// changed is closed when there may be more.
func (c *cache) room(most int) (n int, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return most - c.unread, c.changed
}

// waitRoom waits until n blocks may be fetched ahead.
func (c *cache) waitRoom(ctx context.Context, n, most int) error {
	for {
		free, changed := c.room(most)
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
