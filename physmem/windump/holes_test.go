package windump_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// openHoley opens a file whose zeros are holes.
func openHoley(tb testing.TB, file []byte) *physmem.Image {
	tb.Helper()
	m, err := physmemtest.OpenReader(fixture.Holey{Reader: bytes.NewReader(file)}, int64(len(file)), open.Options{})
	require.NoError(tb, err)
	return m
}

func TestNextDataBitmap(t *testing.T) {
	t.Parallel()
	d := &dmp{typ: winhdr.DumpTypeBitmapFull, runs: []run{{1, 4}, {8, 1}, {0x20, 0x20}}}
	file := d.build()
	clear(file[len(file)-0x23*physmem.PageSize : len(file)-0x10*physmem.PageSize])
	m := openHoley(t, file)
	assert.Equal(t, uint64(0x2000), m.NextData(0x2000))
	assert.Equal(t, uint64(0x5000), m.NextData(0x3010), "no further than the run")
	assert.Equal(t, uint64(0x9000), m.NextData(0x8000))
	assert.Equal(t, uint64(0x30000), m.NextData(0x20fff))
	assert.Equal(t, uint64(0x6000), m.NextData(0x6000), "no memory")
	assert.Positive(t, fixture.CheckNextData(t, m, 0x50000))
}
