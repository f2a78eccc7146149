package remote

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// len is how many blocks there are.
func (c *cache) len() int {
	n := len(c.fetching) + c.kept.Len()
	if c.behind != nil {
		n += c.behind.Len()
	}
	return n
}

// readInOrder fetches n blocks ahead and reads them, and returns how many there were at
// most.
func readInOrder(c *cache, n int64) (most int) {
	const together = 64
	for at := int64(0); at < n; at += together {
		for _, b := range c.takeAhead(at, at+together) {
			c.finish(b, nil)
		}
		most = max(most, c.len())
		list, _ := c.take(at, at+together)
		c.used(list)
	}
	return most
}

// TestCacheIsBounded: what is kept is bounded, and little is of what is read once.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(1000 * blockSize)
	assert.Equal(t, 1000, readInOrder(c, 1<<14))
	c.readOnce(keptBehind)
	assert.Equal(t, keptBehind, c.len(), "what was read before goes")
	most := readInOrder(c, 1<<14)
	assert.LessOrEqual(t, most, keptBehind+64)
	assert.Zero(t, c.unread)
	_, missing := c.take(1<<14-keptBehind, 1<<14)
	assert.Empty(t, missing, "the last are there, for who reads beside them")
}

// TestCacheKnowsWhichBlockWasRead: a block that was forgotten, and is fetched ahead again
// before the reader of the old one is done, is unread.
func TestCacheKnowsWhichBlockWasRead(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		c := newCache(blockSize)
		if once {
			c.readOnce(1)
		}
		old, _ := c.take(1, 2)
		c.finish(old[0], nil)
		other, _ := c.take(2, 3)
		c.finish(other[0], nil)
		again := c.takeAhead(1, 2)
		c.finish(again[0], nil)
		c.used(old)
		assert.Equal(t, 1, c.unread)
		c.used(again)
		assert.Zero(t, c.unread)
	}
}
