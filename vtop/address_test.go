package vtop

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAddressFormat(t *testing.T) {
	t.Parallel()
	va, pa := VA(0xfffff80012345678), PA(0x123456000)
	assert.Equal(t, "fffff800`12345678", va.String())
	assert.Equal(t, "00000001`23456000", pa.String())
	tests := map[string]string{
		"%v": "fffff800`12345678", "%s": "fffff800`12345678", "%20v": "   fffff800`12345678", "%+v": "fffff800`12345678",
		"%x": "fffff80012345678", "%#X": "0XFFFFF80012345678", "%020x": "0000fffff80012345678", "%d": "18446735277921949304",
	}
	for format, want := range tests {
		assert.Equal(t, want, fmt.Sprintf(format, va), format)
	}
	assert.Equal(t, "0x123456000 00000001`23456000", fmt.Sprintf("%#x %v", pa, pa))
}

func TestEntry(t *testing.T) {
	t.Parallel()
	e := Entry(0x8a10_0001_2345_6867)
	assert.True(t, e.Present())
	assert.True(t, e.NX())
	assert.False(t, e.Large())
	assert.Equal(t, PA(0x1_2345_6000), e.Address())
	assert.Equal(t, uint64(0x1_2345_6), e.PFN())
	assert.False(t, e.Transition(), "bit 11 of a present entry is Windows' write bit")
	assert.False(t, e.Prototype())
	assert.False(t, e.Pagefile())
	assert.Equal(t, uint64(1)<<40-1, Entry(^uint64(0)).PFN())
	assert.True(t, Entry(0x80).Large())
	assert.False(t, Entry(0x7fff_ffff_ffff_ffff).NX())

	// Exactly one of Windows' forms fits an entry that is not present.
	for _, tt := range []struct {
		e                               Entry
		prototype, transition, pagefile bool
	}{
		{0, false, false, false},
		{0x80, false, false, false},
		{0x1_0000_0000, false, false, true},
		{0x1_0000_0800, false, true, false},
		{0x1_0000_0c00, true, false, false},
		{0x1_0000_0400, true, false, false},
	} {
		assert.Equal(t, tt.prototype, tt.e.Prototype(), "0x%x", uint64(tt.e))
		assert.Equal(t, tt.transition, tt.e.Transition(), "0x%x", uint64(tt.e))
		assert.Equal(t, tt.pagefile, tt.e.Pagefile(), "0x%x", uint64(tt.e))
	}
}
