package vtop

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAddressFormat(t *testing.T) {
	t.Parallel()
	va, pa := VA(0xfffff80012345678), PA(0x123456000)
	assert.Equal(t, "0xfffff80012345678", va.String())
	assert.Equal(t, "0x123456000", pa.String())
	tests := map[string]string{
		"%v": "0xfffff80012345678", "%s": "0xfffff80012345678", "%20v": "  0xfffff80012345678", "%+v": "0xfffff80012345678",
		"%x": "fffff80012345678", "%#X": "0XFFFFF80012345678", "%020x": "0000fffff80012345678", "%d": "18446735277921949304",
	}
	for format, want := range tests {
		assert.Equal(t, want, fmt.Sprintf(format, va), format)
	}
	assert.Equal(t, "0x123456000 0x123456000", fmt.Sprintf("%#x %v", pa, pa))
}
