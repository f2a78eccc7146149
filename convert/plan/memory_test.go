package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/internal/pageset"
	"windmp/physmem"
)

func TestContains(t *testing.T) {
	t.Parallel()
	m := memoryPlan{runs: physmem.Runs{{BasePage: 1, PageCount: 2}, {BasePage: 8, PageCount: 1}}}
	assert.True(t, m.contains(0x1000, 0x2000))
	assert.True(t, m.contains(0x2fff, 1))
	assert.False(t, m.contains(0x2fff, 2))
	assert.False(t, m.contains(0xfff, 1))
	assert.False(t, m.contains(0x8000, 1<<63), "a length that would wrap")
	m.kept = pageset.NewSubset(func(yield func(first, behind uint64) bool) { _ = yield(1, 3) && yield(8, 9) })
	m.kept.Add(2)
	assert.True(t, m.contains(0x2ff0, 0x10))
	assert.False(t, m.contains(0x1ff0, 0x20))
}
