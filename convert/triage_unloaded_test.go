package convert_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/guestsim"
)

// unloadDrivers makes a guest remember drivers that are no longer loaded: the ring has
// gone round, so that the newest is in its second slot.
func unloadDrivers(g *guestsim.Guest, names ...string) {
	const (
		ring  = 0xffffae8105000000
		slots = 50
		next  = 2
	)
	g.Map(g.Field("MmUnloadedDrivers"), 8)
	g.Map(ring, 0x2000)
	g.Map(ring+0x3000, 4)
	g.Write64(g.Field("MmUnloadedDrivers"), ring)
	g.SetField("MmLastUnloadedDriver", ring+0x3000)
	g.Write32(ring+0x3000, next)
	for i, name := range names {
		at := ring + 0x28*uint64((next+slots-1-i)%slots)
		text := ring + 0x1000 + 0x40*uint64(i)
		for j, r := range name {
			g.Write16(text+2*uint64(j), uint16(r))
		}
		g.Write16(at, uint16(2*len(name)))
		g.Write16(at+2, uint16(2*len(name)))
		g.Write64(at+8, text)
		g.Write64(at+0x10, 0xfffff80415000000+uint64(i)<<16)
		g.Write64(at+0x18, 0xfffff80415008000+uint64(i)<<16)
	}
}

// TestSmallUnloaded: a small dump lists the drivers that are no longer loaded, the newest
// first, with as much of their names as it has room for.
func TestSmallUnloaded(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	unloadDrivers(g, "newest.sys", "dump_storahci.sys", "oldest.sys")
	b, _, err := convertSim(t, g, smallOptions(0))
	require.NoError(t, err)
	s := readSmall(t, b)
	list, err := s.Unloaded()
	require.NoError(t, err)
	require.Len(t, list, 3)
	for i, name := range []string{"newest.sys", "dump_storahc", "oldest.sys"} {
		assert.Equal(t, name, list[i].Name)
		assert.Equal(t, 0xfffff80415000000+uint64(i)<<16, list[i].StartAddress)
		assert.Equal(t, 0xfffff80415008000+uint64(i)<<16, list[i].EndAddress)
	}

	r, err := inspect.Info(t.Context(), source.Reader("small.dmp", bytes.NewReader(b), int64(len(b))), inspect.InfoOptions{})
	require.NoError(t, err)
	assert.Len(t, r.Unloaded, 3)
}
