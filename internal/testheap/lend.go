package testheap

import (
	"slices"
	"sync"
	"testing"
)

// lent are the buffers that came back.
var lent struct {
	sync.Mutex
	free [][]byte
}

// Bytes is a buffer of n bytes, of whatever content, that the test has until its end, when
// the next one gets it: to clear a new one of some MiB, and to be given its pages by the
// system, takes longer than what is done with it.
func Bytes(tb testing.TB, n int) []byte {
	tb.Helper()
	b := take(n)
	tb.Cleanup(func() {
		lent.Lock()
		defer lent.Unlock()
		lent.free = append(lent.free, b)
	})
	return b
}

// Clone is a copy of b in such a buffer.
func Clone(tb testing.TB, b []byte) []byte {
	tb.Helper()
	c := Bytes(tb, len(b))
	copy(c, b)
	return c
}

// take is the smallest buffer with room for n bytes and not much more, or a new one.
func take(n int) []byte {
	lent.Lock()
	defer lent.Unlock()
	best := -1
	for i, b := range lent.free {
		if cap(b) >= n && cap(b)/2 <= n && (best < 0 || cap(b) < cap(lent.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return make([]byte, n)
	}
	b := lent.free[best][:n]
	lent.free = slices.Delete(lent.free, best, best+1)
	return b
}
