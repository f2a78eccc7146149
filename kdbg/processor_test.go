package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/specials"
	"windmp/vtop"
)

func TestProcessors(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]guestsim.Options{
		"one":   {},
		"9600":  {CPUs: 2, Build: 9600},
		"26100": {CPUs: 4, Build: 26100, Encoded: true},
		"odd":   {CPUs: 3, Odd: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(opt)
			b := guestKernel(t, g)
			list, err := b.Processors(g.Options.CPUs)
			require.NoError(t, err)
			require.Len(t, list, len(g.Processors))
			for i, p := range g.Processors {
				assert.Equal(t, Processor{
					Index: i, Number: uint32(i), PRCB: vtop.VA(p.PRCB), PCR: vtop.VA(p.PCR),
					Context: vtop.VA(p.Context), SpecialRegisters: vtop.VA(p.Special),
				}, list[i])
			}
		})
	}
}

// TestProcessorsIncomplete breaks the second of three processors; the others
// stay.
func TestProcessorsIncomplete(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(g *guestsim.Guest)
		is     error
		prcb   bool // still known
	}{
		{"null PRCB", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, 0) }, ErrNullPRCB, false},
		{"PRCB in user space", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, 0x10000) }, ErrNotKernel, false},
		{"PRCB not canonical", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, 0x8000000000000000) }, ErrNotKernel, false},
		{"PRCB to nowhere", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, 0xfffffffffff00000) }, vtop.ErrNotMapped, true},
		{"PRCB at the very end", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, ^uint64(7)) }, ErrNotKernel, false},
		{"repeated PRCB", func(g *guestsim.Guest) { g.Write64(g.KiProcessorBlock+8, g.Processors[0].PRCB) }, ErrRepeatedPRCB, false},
		{"null context", func(g *guestsim.Guest) { g.Write64(g.Processors[1].ContextPtr, 0) }, ErrNullContext, true},
		{"context in user space", func(g *guestsim.Guest) { g.Write64(g.Processors[1].ContextPtr, 1) }, ErrNotKernel, true},
		{"context pointer unmapped", func(g *guestsim.Guest) { g.Unmap(g.Processors[1].ContextPtr) }, vtop.ErrNotMapped, true},
		{"context pointer not saved", func(g *guestsim.Guest) {
			g.Fail(guestsim.Range{Start: g.PA(g.Processors[1].ContextPtr), Size: 8}, guestsim.ErrHole)
		}, guestsim.ErrHole, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 3})
			b := guestKernel(t, g)
			tt.change(g)
			list, err := b.Processors(3)
			require.NoError(t, err)
			require.Len(t, list, 3)
			require.NoError(t, list[0].Err)
			require.NoError(t, list[2].Err)
			require.ErrorIs(t, list[1].Err, tt.is)
			assert.Zero(t, list[1].Context)
			assert.Equal(t, 1, list[1].Index)
			assert.Equal(t, tt.prcb, list[1].PRCB != 0)
		})
	}
}

func TestProcessorsOfBadArrays(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	b := guestKernel(t, g)

	none, err := b.Processors(0)
	require.NoError(t, err)
	assert.Empty(t, none)

	more, err := b.Processors(3)
	require.NoError(t, err)
	require.ErrorIs(t, more[2].Err, ErrNullPRCB)

	for _, n := range []int{-1, MaxProcessors + 1, 1 << 30} {
		_, err = b.Processors(n)
		require.ErrorIs(t, err, ErrTooMany)
	}

	change := func(v uint64) *Kernel {
		other := *b.Block
		other.Data.KiProcessorBlock = v
		return &Kernel{b.Memory, &other}
	}
	_, err = change(0).Processors(2)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = change(^uint64(7)).Processors(2)
	require.ErrorIs(t, err, ErrNotKernel)
	_, err = change(0xffffffffff000000).Processors(2)
	require.ErrorIs(t, err, vtop.ErrNotMapped)

	short := &Kernel{b.Memory, &Block{Raw: make([]byte, 0x218), Data: b.Data}}
	_, err = short.Processors(2)
	require.ErrorIs(t, err, ErrAbsentField)
}

// TestProcessorsArrayCut: entries on a page that is gone cost only themselves.
func TestProcessorsArrayCut(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Odd: true})
	b := guestKernel(t, g)
	g.Unmap(g.KiProcessorBlock + 8)
	_, err := b.Processors(2)
	require.ErrorIs(t, err, vtop.ErrNotMapped, "both entries need the second page")

	g = guestsim.New(guestsim.Options{CPUs: 2})
	b = guestKernel(t, g)
	b.Data.KiProcessorBlock = g.KiProcessorBlock&^0xfff + 0xff8
	g.Write64(b.Data.KiProcessorBlock, g.Processors[0].PRCB)
	list, err := b.Processors(2)
	require.NoError(t, err)
	require.NoError(t, list[0].Err)
	require.ErrorIs(t, list[1].Err, vtop.ErrNotMapped)
}

// TestProcessorsOfOldBlocks: without OffsetPrcbContext the CONTEXT is in the
// KPRCB, as debuggers take it.
func TestProcessorsOfOldBlocks(t *testing.T) {
	t.Parallel()
	for _, n := range []uint32{0x318, 0x338} {
		g := guestsim.New(guestsim.Options{KDBGSize: n})
		b := guestKernel(t, g)
		list, err := b.Processors(1)
		require.NoError(t, err)
		require.NoError(t, list[0].Err)
		assert.Equal(t, vtop.VA(g.Processors[0].PRCB+0x1f0), list[0].Context)
		assert.Equal(t, vtop.VA(g.Processors[0].PRCB+0x100), list[0].SpecialRegisters)
	}
	g := guestsim.New(guestsim.Options{KDBGSize: 0x220})
	b := guestKernel(t, g)
	list, err := b.Processors(1)
	require.NoError(t, err)
	require.ErrorIs(t, list[0].Err, ErrAbsentField)
	assert.Equal(t, vtop.VA(g.Processors[0].PCR), list[0].PCR)
	assert.Zero(t, list[0].SpecialRegisters)
}

func TestSpecialRegisters(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Odd: true})
	m := guestMemory(g)
	at := vtop.VA(g.Processors[0].Special)
	s, err := m.SpecialRegisters(at)
	require.NoError(t, err)
	assert.Equal(t, g.DTB, s.Root())
	assert.Equal(t, specials.Table{Limit: 0x57, Base: vtop.VA(g.GDT)}, s.CodeTable())
	r, ok := s.(*specials.X86Values)
	require.True(t, ok)
	assert.Equal(t, uint64(0x80050033), r.Cr0)
	assert.Equal(t, uint64(0x400), r.Debug.Dr7)
	assert.Equal(t, specials.Table{Limit: 0xfff, Base: vtop.VA(g.IDT)}, r.Idtr)
	assert.Equal(t, uint16(0x40), r.Tr)
	assert.Equal(t, uint32(0x1f80), *r.MxCsr)
	assert.Equal(t, g.Processors[0].PCR, r.MSR.GsBase)
	assert.Equal(t, uint64(0x4700), r.MSR.FMask)

	_, err = m.SpecialRegisters(0xffff_8000_0000_0000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}
