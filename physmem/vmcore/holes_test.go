package vmcore_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// openHoley opens a file whose zeros are holes.
func openHoley(tb testing.TB, file []byte) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.OpenReader(fixture.Holey{Reader: bytes.NewReader(file)}, int64(len(file)), open.Options{})
	require.NoError(tb, err)
	return m
}

func TestNextDataELF(t *testing.T) {
	t.Parallel()
	b := &builder{notes: fixture.CPUNotes(1), memory: fixture.Pattern(0, 0x40000)}
	clear(b.memory[0x9000:0x17000])
	clear(b.memory[0x1e000:0x40000])
	for _, at := range []uint64{0, 0x10000, 0x20000} { // gaps in the guest, none in the file
		b.loads = append(b.loads, load{paddr: 2 * at, filesz: 0x10000, memsz: 0x10000, off: at})
	}
	m := openHoley(t, b.build())
	assert.Equal(t, uint64(0x123), m.NextData(0x123), "data")
	assert.Equal(t, uint64(0x10000), m.NextData(0xe123), "no further than the extent")
	assert.Equal(t, uint64(0x50000), m.NextData(0x41000))
	assert.Equal(t, uint64(0x18123), m.NextData(0x18123), "no memory")
	assert.Positive(t, fixture.CheckNextData(t, m, 0x60000))
	whole, err := physmemtest.Open(b.build())
	require.NoError(t, err)
	assert.Equal(t, uint64(0xe000), whole.NextData(0xe000), "a file that does not know its holes")
}
