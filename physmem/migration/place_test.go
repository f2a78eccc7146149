package migration

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWholeBoard(t *testing.T) {
	t.Parallel()
	for machine, want := range map[string]bool{"virt-7.2": true, "virt-10.0": true, "virt": false, "pc-q35-7.2": false, "": false} {
		s, ok := whole(machine, 8<<20)
		assert.Equal(t, want, ok, machine)
		if ok {
			assert.Equal(t, split{low: 8 << 20, start: 1 << 30}, s)
		}
	}
	assert.True(t, isDevice("virt.flash0"))
	assert.False(t, isDevice("mach-virt.ram"))
}
