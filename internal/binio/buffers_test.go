package binio_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/internal/binio"
)

// TestBuffers: a buffer has the size that was asked for, whatever came back before.
func TestBuffers(t *testing.T) {
	t.Parallel()
	var lent binio.Buffers
	for _, n := range []int{0, 5, 1 << 20, 4096, 0, 2 << 20} {
		b := lent.Get(n)
		assert.Len(t, b, n)
		lent.Put(b[:n/2])
	}
	lent.Put(nil)
	a, b := lent.Get(8), lent.Get(8)
	a[0], b[0] = 1, 2
	assert.Equal(t, byte(1), a[0], "no two have the same")
}
