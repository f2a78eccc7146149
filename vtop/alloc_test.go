//go:build !race

package vtop

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Not under the race detector, which makes sync.Pool forget at random.
func TestNoAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of all goroutines
	g := newGuest(X64)
	scattered(g, 0xfffff80000000000, 4)
	s := g.space()
	p := make([]byte, 0x2345)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = s.Translate(0xfffff80000001234) }), "Translate")
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = s.Uint64(0xfffff80000000ffc) }), "Uint64")
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = s.ReadVirtual(p, 0xfffff80000000ffc) }), "ReadVirtual")
}
