package kdump_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
)

func TestNextDataKdump(t *testing.T) {
	t.Parallel()
	k := kdump{version: 6, runs: []run{{0, 10}, {14, 200}}}
	m := k.open(t)
	assert.Equal(t, uint64(0x3fff), m.NextData(0x3fff))
	assert.Equal(t, uint64(0x5000), m.NextData(0x4fff))
	assert.Equal(t, uint64(0xa000), m.NextData(0x9000), "no further than the run")
	assert.Equal(t, uint64(0xb000), m.NextData(0xb000), "no memory")
	assert.Positive(t, fixture.CheckNextData(t, m, 220*physmem.PageSize))
	own := kdump{version: 6, runs: k.runs, noZero: true}
	assert.Equal(t, uint64(0x4000), own.open(t).NextData(0x4000), "no page of zeros that others share")
}
