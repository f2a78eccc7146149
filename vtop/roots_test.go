package vtop_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/vtop"
)

var x64 = []*vtop.Mode{vtop.X64, vtop.LA57}

func modeOf(opt guestsim.Options) *vtop.Mode {
	if opt.LA57 {
		return vtop.LA57
	}
	return vtop.X64
}

func rangesOf(g *guestsim.Guest) []physmem.Range {
	var out []physmem.Range
	for _, r := range g.RAM() {
		out = append(out, physmem.Range(r))
	}
	return out
}

func TestRootsSelfMap(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		g := guestsim.New(guestsim.Options{Build: build, SoftwareBits: true})
		var found []vtop.Root
		err := vtop.FindRoots(context.Background(), g.Memory(), rangesOf(g), x64, nil, func(r vtop.Root) bool {
			found = append(found, r)
			return true
		})
		require.NoError(t, err)
		assert.Equal(t, []vtop.Root{
			{DTB: vtop.PA(g.DTB), Mode: vtop.X64, Kind: vtop.RootSelfMap},
			{DTB: vtop.PA(g.DTB), Mode: vtop.LA57, Kind: vtop.RootSelfMap},
		}, found)
	}
}

// TestRootsMust: without a self-map, with 4 and 5 levels, a root is known by what
// it maps.
func TestRootsMust(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{{NoSelfMap: true}, {LA57: true}, {NoSelfMap: true, Shadow: true}} {
		g := guestsim.New(opt)
		var found []vtop.Root
		must := []vtop.VA{guestsim.SharedUserData, guestsim.KernBase}
		err := vtop.FindRoots(context.Background(), g.Memory(), rangesOf(g), x64, must, func(r vtop.Root) bool {
			found = append(found, r)
			return false
		})
		require.NoError(t, err)
		mode := modeOf(opt)
		assert.Equal(t, []vtop.Root{{DTB: vtop.PA(g.DTB), Mode: mode, Kind: vtop.RootMaps}}, found)
	}
}

func TestRootsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := guestsim.New(guestsim.Options{})
	err := vtop.FindRoots(ctx, g.Memory(), rangesOf(g), x64, nil, func(vtop.Root) bool { return true })
	require.ErrorIs(t, err, context.Canceled)
}

func TestLowStubs(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{LowStub: true, LA57: true})
	stubs := vtop.LowStubs(g.Memory(), rangesOf(g), x64)
	require.Len(t, stubs, 1)
	assert.Equal(t, g.DTB, stubs[0].Root)
	assert.Equal(t, vtop.LA57, stubs[0].Mode)
	assert.Equal(t, vtop.VA(guestsim.KernBase+0x401000), stubs[0].Target)
	assert.Less(t, stubs[0].PA, vtop.PA(1<<20))
	g = guestsim.New(guestsim.Options{})
	assert.Empty(t, vtop.LowStubs(g.Memory(), rangesOf(g), x64))
}

// TestMapped holds the enumeration against Translate.
func TestMapped(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{{}, {LA57: true}, {MapAll: true}} {
		g := guestsim.New(opt)
		s := vtop.NewSpace(g.Memory(), g.DTB, modeOf(opt))
		var pages int
		from, to := vtop.VA(0xfffff80000000000), vtop.VA(0xfffff80fffffffff)
		last := from
		assert.True(t, s.Mapped(from, to, 1<<20, func(m vtop.Mapping) bool {
			pages++
			want, err := s.Translate(m.VA)
			require.NoError(t, err)
			assert.Equal(t, want, m)
			assert.GreaterOrEqual(t, m.VA, last)
			last = m.VA
			return true
		}))
		assert.Greater(t, pages, 5)
		assert.False(t, s.Mapped(from, to, 1<<20, func(vtop.Mapping) bool { return false }))
		assert.False(t, s.Mapped(from, to, 100, func(vtop.Mapping) bool { return true }))
	}
}

// TestMappedLoop: tables that refer to themselves end by the limit.
func TestMappedLoop(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	for i := range uint64(512) {
		g.WritePhys(g.DTB+8*i, []byte{0x63, byte(g.DTB >> 8), byte(g.DTB >> 16), byte(g.DTB >> 24), byte(g.DTB >> 32), 0, 0, 0})
	}
	s := vtop.NewSpace(g.Memory(), g.DTB, vtop.X64)
	assert.False(t, s.Mapped(0, ^vtop.VA(0), 100000, func(vtop.Mapping) bool { return true }))
}
