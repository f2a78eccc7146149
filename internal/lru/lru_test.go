package lru_test

import (
	"maps"
	"slices"
	"testing"

	"windmp/internal/lru"
)

// holds says which keys a cache should have, the one used longest ago first.
func holds(t *testing.T, c *lru.Cache[string, int], want ...string) {
	t.Helper()
	var got []string
	for k := range c.Oldest() {
		got = append(got, k)
	}
	if !slices.Equal(got, want) {
		t.Errorf("it holds %v, not %v", got, want)
	}
}

// TestForgetsWhatWasUsedLongestAgo: and says what that was.
func TestForgetsWhatWasUsedLongestAgo(t *testing.T) {
	t.Parallel()
	gone := map[string]int{}
	c := lru.New(30, func(k string, v int) { gone[k] = v })
	for i, k := range []string{"a", "b", "c"} {
		c.Put(k, i, 10)
	}
	if _, ok := c.Get("a"); !ok {
		t.Error("a is not there")
	}
	if _, ok := c.Peek("b"); !ok { // is looked at, and not used
		t.Error("b is not there")
	}
	c.Put("d", 3, 10)
	holds(t, c, "c", "a", "d")
	if want := map[string]int{"b": 1}; !maps.Equal(gone, want) {
		t.Errorf("%v went, not %v", gone, want)
	}
	if v, ok := c.Get("b"); ok {
		t.Errorf("b is still there, %d", v)
	}
	c.Put("e", 4, 25) // as many go as there must
	holds(t, c, "e")
	if got := slices.Sorted(maps.Keys(gone)); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("%v went", got)
	}
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
		if c.Held() != held || held > 1000 {
			t.Fatalf("it says %d bytes, and holds %d", c.Held(), held)
		}
	}
	held := c.Held()
	c.Put(-1, make([]byte, 1001), 1001)
	if c.Held() != held {
		t.Errorf("what is larger than all is kept: %d bytes, and %d before", c.Held(), held)
	}
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
	holds(t, c, "b")
}
