package finding

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
)

func TestRanges(t *testing.T) {
	t.Parallel()
	assert.Empty(t, Ranges(nil))
	var list []physmem.Range
	for i := range uint64(6) {
		list = append(list, physmem.Range{Start: i << 16, Size: 0x1000})
	}
	assert.Equal(t, "PA 0x0-0xfff", Ranges(list[:1]))
	assert.Equal(t, "PA 0x0-0xfff, PA 0x10000-0x10fff, PA 0x20000-0x20fff, PA 0x30000-0x30fff, and 2 more", Ranges(list))
}

func TestQuote(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `"a\x1b[31m\u00e9"`, Quote("a\x1b[31mé"))
}
