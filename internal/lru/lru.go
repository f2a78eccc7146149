// Package lru keeps what was used last, up to a number of bytes: blocks of a file, pages
// of memory, what was unpacked. Whoever has such a cache decides what is read, when and
// by how many at once; this is the order in which it is forgotten.
package lru

import (
	"container/list"
	"iter"
)

// Cache keeps values by their keys. One goroutine may use it at a time.
type Cache[K comparable, V any] struct {
	limit, held int64
	entries     map[K]*list.Element
	order       list.List // of *entry, the one used last in front
	forgotten   func(K, V)
}

type entry[K comparable, V any] struct {
	key   K
	value V
	bytes int64
}

// New returns a cache that holds at most limit bytes. forgotten, if it is not nil, is
// called with each value that is given up for others.
func New[K comparable, V any](limit int64, forgotten func(K, V)) *Cache[K, V] {
	return &Cache[K, V]{limit: limit, entries: map[K]*list.Element{}, forgotten: forgotten}
}

// Get returns the value of a key, which counts as used, and whether there is one.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	e, ok := c.entries[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return of[K, V](e).value, true
}

// Peek is Get for who does not use the value.
func (c *Cache[K, V]) Peek(key K) (value V, ok bool) {
	if e, ok := c.entries[key]; ok {
		return of[K, V](e).value, true
	}
	return value, false
}

// Put keeps a value of so many bytes, in place of the one that the key had, and gives up
// those used longest ago while there is too much. One that is larger than the limit is
// given up itself.
func (c *Cache[K, V]) Put(key K, value V, bytes int64) {
	c.Remove(key)
	if bytes > c.limit {
		c.giveUp(key, value)
		return
	}
	c.entries[key] = c.order.PushFront(&entry[K, V]{key, value, bytes})
	for c.held += bytes; c.held > c.limit; {
		oldest := of[K, V](c.order.Back())
		c.Remove(oldest.key)
		c.giveUp(oldest.key, oldest.value)
	}
}

func (c *Cache[K, V]) giveUp(key K, value V) {
	if c.forgotten != nil {
		c.forgotten(key, value)
	}
}

// Remove takes a value out, if it is there.
func (c *Cache[K, V]) Remove(key K) {
	e, ok := c.entries[key]
	if !ok {
		return
	}
	c.order.Remove(e)
	delete(c.entries, key)
	c.held -= of[K, V](e).bytes
}

// Oldest are the values, the one used longest ago first. The one that is at hand may be
// removed.
func (c *Cache[K, V]) Oldest() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := c.order.Back(); e != nil; {
			next, at := e.Prev(), of[K, V](e)
			if !yield(at.key, at.value) {
				return
			}
			e = next
		}
	}
}

// Len is how many values there are.
func (c *Cache[K, V]) Len() int { return len(c.entries) }

// Held is how many bytes they have.
func (c *Cache[K, V]) Held() int64 { return c.held }

// of is the entry in the order.
func of[K comparable, V any](e *list.Element) *entry[K, V] {
	x, _ := e.Value.(*entry[K, V]) // nothing else is put there
	return x
}
