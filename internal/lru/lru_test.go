package lru_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/internal/lru"
)

// keys are those of a cache, the one used longest ago first.
func keys(c *lru.Cache[string, int]) []string {
	var list []string
	for k := range c.Oldest() {
		list = append(list, k)
	}
	return list
}

// TestForgetsWhatWasUsedLongestAgo: and says what that was.
func TestForgetsWhatWasUsedLongestAgo(t *testing.T) {
	t.Parallel()
	gone := map[string]int{}
	c := lru.New(30, func(k string, v int) { gone[k] = v })
	for i, k := range []string{"a", "b", "c"} {
		c.Put(k, i, 10)
	}
	_, ok := c.Get("a")
	assert.True(t, ok)
	_, ok = c.Peek("b")
	assert.True(t, ok, "is looked at, and not used")
	c.Put("d", 3, 10)
	assert.Equal(t, []string{"c", "a", "d"}, keys(c))
	assert.Equal(t, map[string]int{"b": 1}, gone)
	_, ok = c.Get("b")
	assert.False(t, ok)
	c.Put("e", 4, 25)
	assert.Equal(t, []string{"e"}, keys(c), "as many go as there must")
	assert.Equal(t, []string{"a", "b", "c", "d"}, slices.Sorted(maps.Keys(gone)))
}

// TestHoldsNoMoreBytesThanItMay counts them, whatever is put, replaced and removed.
func TestHoldsNoMoreBytesThanItMay(t *testing.T) {
	t.Parallel()
	c := lru.New[int, []byte](1000, nil)
	for i := range 500 {
		b := make([]byte, 1+i*37%400)
		c.Put(i%50, b, int64(len(b)))
		if i%7 == 0 {
			c.Remove(i % 13)
		}
		var held int64
		for _, b := range c.Oldest() {
			held += int64(len(b))
		}
		assert.Equal(t, held, c.Held())
		assert.LessOrEqual(t, held, int64(1000))
	}
	held := c.Held()
	c.Put(-1, make([]byte, 1001), 1001)
	assert.Equal(t, held, c.Held(), "what is larger than all is not kept")
}

// TestOldestMayBeRemoved: while they are gone through.
func TestOldestMayBeRemoved(t *testing.T) {
	t.Parallel()
	c := lru.New[string, int](3, nil)
	for i, k := range []string{"a", "b", "c"} {
		c.Put(k, i, 1)
	}
	for k, v := range c.Oldest() {
		if v%2 == 0 {
			c.Remove(k)
		}
	}
	assert.Equal(t, []string{"b"}, keys(c))
}
