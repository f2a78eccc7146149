package binio

import (
	"slices"
	"sync"
)

// Buffers lends buffers that are needed for a while, again and again: to clear a new one of
// a MiB takes longer than to read memory into it. The zero value has none. It may be used
// by several goroutines.
type Buffers struct{ back sync.Pool }

// Get is a buffer of n bytes, of whatever content: one that came back, or a new one.
func (l *Buffers) Get(n int) []byte {
	b, ok := l.back.Get().(*[]byte)
	if !ok {
		return make([]byte, n)
	}
	return slices.Grow((*b)[:0], n)[:n]
}

// Put takes a buffer back, which nobody may use from then on. One without room is left.
func (l *Buffers) Put(b []byte) {
	if cap(b) > 0 {
		l.back.Put(&b)
	}
}
