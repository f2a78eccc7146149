package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestPhysicalMemory(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{VGA: true})
	s, b := blockOf(t, g)
	runs, err := PhysicalMemory(s, b)
	require.NoError(t, err)
	require.Len(t, runs, len(g.Runs()))
	for i, r := range g.Runs() {
		assert.Equal(t, MemoryRun{r.Start / pageSize, r.Size / pageSize}, runs[i])
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
		"above 2^52":          {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+0x10, maxPFN+1) }, ErrImplausible},
		"wrong sum":           {func(g *guestsim.Guest, _, block uint64) { g.Write64(block+8, 1) }, ErrImplausible},
	} {
		g := guestsim.New(guestsim.Options{})
		s, b := blockOf(t, g)
		variable := g.Field("MmPhysicalMemoryBlock")
		tt.poke(g, variable, g.Read64(variable))
		_, err := PhysicalMemory(s, b)
		require.ErrorIs(t, err, tt.want, name)
	}
	g := guestsim.New(guestsim.Options{KDBGSize: 0x208})
	s, b := blockOf(t, g)
	_, err := PhysicalMemory(s, b)
	require.ErrorIs(t, err, ErrAbsentField)
}

func TestReadVersion(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Build: 26100})
	s, b := blockOf(t, g)
	pcr := vtop.VA(g.Processors[0].PCR)
	v, err := ReadVersion(s, b, pcr)
	require.NoError(t, err)
	assert.Equal(t, &Version{
		Major: 0xf, Minor: 26100, Machine: 0x8664,
		KernBase: guestsim.KernBase, PsLoadedModuleList: vtop.VA(g.PsLoadedModuleList),
	}, v)

	g.Write64(g.KdVersionBlock+0x18, 0)
	_, err = ReadVersion(s, b, pcr)
	require.ErrorIs(t, err, ErrImplausible)
	g.Write64(uint64(pcr)+0x108, 0)
	_, err = ReadVersion(s, b, pcr)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = ReadVersion(s, b, 0xfffff80000000000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

func TestSystemDirectory(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		g := guestsim.New(guestsim.Options{Build: build})
		s, b := blockOf(t, g)
		im, err := ReadImage(s, guestsim.KernBase)
		require.NoError(t, err)
		prcb := vtop.VA(g.Processors[0].PRCB)
		v, err := SystemDirectory(s, b, im, 0)
		require.NoError(t, err, "by the export")
		assert.Equal(t, g.DTB, v)
		v, err = SystemDirectory(s, b, nil, prcb)
		require.NoError(t, err, "by the idle thread")
		assert.Equal(t, g.DTB, v)
		g.Write64(uint64(prcb)+0x18, 0)
		_, err = SystemDirectory(s, b, nil, prcb)
		require.ErrorIs(t, err, ErrNotKernel)
		_, err = SystemDirectory(s, b, nil, 0xfffff80000000000)
		require.ErrorIs(t, err, vtop.ErrNotMapped)
	}
}

func TestKernelRoots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opt    guestsim.Options
		offset uint32
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
		s := spaceOf(g)
		s.DTB = vtop.PA(g.ShadowDTB)
		roots, err := KernelRoots(s, vtop.VA(g.IDT), vtop.VA(g.Processors[0].PCR))
		require.NoError(t, err)
		require.NotEmpty(t, roots)
		assert.Equal(t, ShadowRoot{DTB: g.DTB, Offset: tt.offset, Stub: tt.stub}, roots[0])

		_, err = KernelRoots(s, vtop.VA(g.IDT), vtop.VA(g.Processors[0].PCR)+8)
		require.ErrorIs(t, err, ErrNotKernel)
		_, err = KernelRoots(s, vtop.VA(g.IDT), 0)
		require.ErrorIs(t, err, vtop.ErrNotMapped)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s := spaceOf(g)
	va, err := Gate(s, vtop.VA(g.IDT), 0)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.Handler), va)
	g.Write64(g.IDT+8, 0)
	_, err = Gate(s, vtop.VA(g.IDT), 0)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = Gate(s, 0x1000, 0)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

// FuzzImage reads what may be an image, hostile or not: it ends, and says
// something sensible.
func FuzzImage(f *testing.F) {
	g := guestsim.New(guestsim.Options{})
	f.Add(g.Read(guestsim.KernBase, 0x1000), "NtBuildNumber")
	f.Fuzz(func(t *testing.T, page []byte, name string) {
		page = page[:min(len(page), 0x2000)]
		s := flat(page, 0)
		im, err := ReadImage(s, flatVA)
		if err != nil {
			require.Nil(t, im)
			return
		}
		require.LessOrEqual(t, im.Size, uint32(MaxImageSize))
		require.LessOrEqual(t, len(im.Sections), maxSections)
		require.True(t, im.Name == "" || im.NameErr == nil)
		require.True(t, im.PDB == nil || im.PDBErr == nil)
		at, err := im.Export(s, name)
		require.True(t, at == 0 || err == nil)
		_, _ = FindFlag(s, im, &Block{Encoded: true, Rotation: 5, Constant: 77})
		_, _ = FindImage(s, flatVA+0x1800)
	})
}
