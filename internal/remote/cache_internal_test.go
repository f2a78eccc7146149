package remote

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// readInOrder fetches n blocks ahead and reads them, and returns how many there were at
// most.
func readInOrder(c *cache, n int64) (most int) {
	const together = 64
	for at := int64(0); at < n; at += together {
		for _, b := range c.takeAhead(at, at+together) {
			c.finish(b, nil)
		}
		most = max(most, len(c.blocks))
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
	assert.Len(t, c.blocks, keptBehind, "what was read before goes")
	most := readInOrder(c, 1<<14)
	assert.LessOrEqual(t, most, keptBehind+64)
	assert.Zero(t, c.unread)
	_, missing := c.take(1<<14-keptBehind, 1<<14)
	assert.Empty(t, missing, "the last are there, for who reads beside them")
}
