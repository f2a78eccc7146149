package kdbg

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/vtop"
)

func TestPhysicalMemory(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{VGA: true})
	b := guestKernel(t, g)
	runs, err := b.PhysicalMemory()
	require.NoError(t, err)
	require.Len(t, runs, len(g.Runs()))
	for i, r := range g.Runs() {
		assert.Equal(t, physmem.RunOf(physmem.Range(r)), runs[i])
	}
}

func TestPhysicalMemoryErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		poke func(g *guestsim.Guest, variable, block uint64)
		want error
	}{
		"variable not mapped": {func(g *guestsim.Guest, variable, _ uint64) { g.Unmap(variable) }, vtop.ErrNotMapped},
		"null":                {func(g *guestsim.Guest, variable, _ uint64) { g.Write64(variable, 0) }, ErrNotKernel},
		"block not mapped":    {func(g *guestsim.Guest, variable, _ uint64) { g.Write64(variable, 0xffffdead00000000) }, vtop.ErrNotMapped},
		"no runs":             {func(g *guestsim.Guest, _, block uint64) { g.Write32(block, 0) }, ErrTooMany},
		"many runs":           {func(g *guestsim.Guest, _, block uint64) { g.Write32(block, MaxMemoryRuns+1) }, ErrTooMany},
		"runs behind a page":  {func(g *guestsim.Guest, _, block uint64) { g.Write32(block, MaxMemoryRuns) }, vtop.ErrNotMapped},
		"empty run":           {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+0x18, 0) }, ErrImplausible},
		"overlap":             {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+0x20, 0) }, ErrImplausible},
		"wraps":               {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+0x18, ^uint64(0)) }, ErrImplausible},
		"above 2^52":          {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+0x10, physmem.MaxPFN+1) }, ErrImplausible},
		"wrong sum":           {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+8, 1) }, ErrImplausible},
	} {
		g := guestsim.New(guestsim.Options{})
		b := guestKernel(t, g)
		variable := g.Field("MmPhysicalMemoryBlock")
		tt.poke(g, variable, g.Read64(variable))
		_, err := b.PhysicalMemory()
		require.ErrorIs(t, err, tt.want, name)
	}
	g := guestsim.New(guestsim.Options{KDBGSize: 0x208})
	b := guestKernel(t, g)
	_, err := b.PhysicalMemory()
	require.ErrorIs(t, err, ErrAbsentField)
}

func TestReadVersion(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Build: 26100})
	b := guestKernel(t, g)
	pcr := vtop.VA(g.Processors[0].PCR)
	v, err := b.Version(pcr)
	require.NoError(t, err)
	assert.Equal(t, &Version{
		Major: 0xf, Minor: 26100, Machine: 0x8664,
		KernBase: guestsim.KernBase, PsLoadedModuleList: vtop.VA(g.PsLoadedModuleList),
	}, v)

	g.Write64(g.KdVersionBlock+0x18, 0)
	_, err = b.Version(pcr)
	require.ErrorIs(t, err, ErrImplausible)
	g.Write64(uint64(pcr)+0x108, 0)
	_, err = b.Version(pcr)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = b.Version(0xfffff80000000000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

func TestSystemDirectory(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		g := guestsim.New(guestsim.Options{Build: build})
		b := guestKernel(t, g)
		im, err := b.ReadImage(guestsim.KernBase)
		require.NoError(t, err)
		prcb := vtop.VA(g.Processors[0].PRCB)
		v, err := b.SystemDirectory(im, 0)
		require.NoError(t, err, "by the export")
		assert.Equal(t, g.DTB, v)
		v, err = b.SystemDirectory(nil, prcb)
		require.NoError(t, err, "by the idle thread")
		assert.Equal(t, g.DTB, v)
		g.Write64(uint64(prcb)+0x18, 0)
		_, err = b.SystemDirectory(nil, prcb)
		require.ErrorIs(t, err, ErrNotKernel)
		_, err = b.SystemDirectory(nil, 0xfffff80000000000)
		require.ErrorIs(t, err, vtop.ErrNotMapped)
	}
}

func TestKernelRoots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opt    guestsim.Options
		offset vtop.VA
		stub   bool
		poke   func(g *guestsim.Guest)
	}{
		{guestsim.Options{Shadow: true}, 0x9000, true, nil},
		{guestsim.Options{Shadow: true, StubOffset: 0x5f58, LA57: true}, 0x5f58, true, nil},
		{guestsim.Options{Shadow: true, Build: 26100}, 0xa000, false, func(g *guestsim.Guest) { g.Write(guestsim.Handler, make([]byte, 0x40)) }},
		{guestsim.Options{Shadow: true, StubOffset: 0x7000}, 0x7000, false, func(g *guestsim.Guest) { g.Write64(g.IDT, 0) }},
	} {
		g := guestsim.New(tt.opt)
		if tt.poke != nil {
			tt.poke(g)
		}
		m := guestMemory(g)
		m.Space.DTB = vtop.PA(g.ShadowDTB)
		pcr := vtop.VA(g.Processors[0].PCR)
		roots := m.KernelRoots(Registers{IDT: vtop.VA(g.IDT), PCR: pcr})
		require.NotEmpty(t, roots)
		assert.Equal(t, ShadowRoot{DTB: g.DTB, Offset: tt.offset, Stub: tt.stub}, roots[0])
		other := m.KernelRoots(Registers{IDT: vtop.VA(g.IDT), PCR: 0x1000, Alternates: []vtop.VA{pcr}})
		assert.Equal(t, roots, other, "the bases are exchanged")

		require.ErrorIs(t, m.CheckPCR(pcr+8), ErrNotKernel)
		require.ErrorIs(t, m.CheckPCR(0), vtop.ErrNotMapped)
		assert.Empty(t, m.KernelRoots(Registers{IDT: vtop.VA(g.IDT), PCR: pcr + 8}))
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	m := guestMemory(g)
	va, err := m.Gate(vtop.VA(g.IDT), 0)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.Handler), va)
	g.Write64(g.IDT+8, 0)
	_, err = m.Gate(vtop.VA(g.IDT), 0)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = m.Gate(0x1000, 0)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

// TestMostMemoryRuns: as many runs as are believed are read, over many pages.
func TestMostMemoryRuns(t *testing.T) {
	t.Parallel()
	usual := guestsim.New(guestsim.Options{})
	g := guestsim.New(guestsim.Options{
		RAM:  append(slices.Clone(usual.RAM()), guestsim.Range{Start: 1 << 33, Size: 4 << 20}),
		Runs: append(slices.Clone(usual.Runs()), guestsim.Range{Start: 1 << 33, Size: 4 << 20}),
	})
	b := guestKernel(t, g)
	want := make([]guestsim.Range, MaxMemoryRuns)
	for i := range want {
		want[i] = guestsim.Range{Start: uint64(i) * 0x400000, Size: 0x200000}
	}
	g.SetKernelRuns(want)
	got, err := b.PhysicalMemory()
	require.NoError(t, err)
	require.Len(t, got, len(want))
	assert.Equal(t, physmem.RunOf(physmem.Range(want[len(want)-1])), got[len(got)-1])
	g.SetKernelRuns(append(want, guestsim.Range{Start: 1 << 45, Size: 0x1000}))
	_, err = b.PhysicalMemory()
	require.ErrorIs(t, err, ErrTooMany)
}
