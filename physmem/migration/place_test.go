package migration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
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

// TestHugeBoard: QEMU puts memory of AMD machines that reaches 1 TiB elsewhere.
func TestHugeBoard(t *testing.T) {
	t.Parallel()
	cmos := make([]byte, cmosSize)
	const low, high = 2 * gib, 1100 * gib
	n := low/cmosGrain - 16*mib/cmosGrain
	cmos[cmosAbove16M], cmos[cmosAbove16M+1] = byte(n&0xff), byte(n>>8)
	h := high / cmosGrain
	cmos[cmosHigh], cmos[cmosHigh+1], cmos[cmosHigh+2] = byte(h&0xff), byte(h>>8&0xff), byte(h>>16)
	s := &stream{odd: new(physmem.Oddities)}
	s.ram.blocks = []*ramblock.Block{{Name: boardNames[0], Size: low + high}}
	b, rest, err := s.placeBoard(cmos, nil)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, split{low: low, high: high}, b.split)
	require.Len(t, s.odd.All(), 1)
	require.Contains(t, s.odd.All()[0].Text, "with an AMD processor")
}
