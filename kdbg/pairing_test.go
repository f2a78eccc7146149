package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	const gdt, tss, idt = 0xfffff80411000000, 0xfffff80411001000, 0xfffff80411002000
	g := guestsim.New(guestsim.Options{CPUs: 3})
	for i, p := range g.Processors {
		n := uint64(i) * 0x10000
		g.Write64(p.PCR, gdt+n)
		g.Write64(p.PCR+0x08, tss+n)
		g.Write64(p.PCR+0x38, idt) // all have one
	}
	k := guestKernel(t, g)
	list, err := k.Processors(3)
	require.NoError(t, err)
	owners := k.Owners(append(list, Processor{}))
	pcr := func(i int) vtop.VA { return vtop.VA(g.Processors[i].PCR) }
	all := func(vtop.VA) bool { return true }
	for name, tt := range map[string]struct {
		r       Registers
		believe func(vtop.VA) bool
		want    int
		proofs  int
	}{
		"the KPCR":                    {Registers{PCR: pcr(2)}, all, 2, 1},
		"the other base":              {Registers{PCR: 0x3f5ad3e000, Alternates: []vtop.VA{0x3f5ad3e000, pcr(1)}}, all, 1, 1},
		"GDT":                         {Registers{GDT: gdt + 0x20000}, all, 2, 1},
		"task":                        {Registers{TSS: tss + 0x10000}, all, 1, 1},
		"an IDT of all":               {Registers{IDT: idt}, all, 0, 0},
		"nothing":                     {Registers{}, all, 0, 0},
		"one against one":             {Registers{PCR: pcr(0), GDT: gdt + 0x10000}, all, 0, 0},
		"two against one":             {Registers{PCR: pcr(0), GDT: gdt + 0x10000, TSS: tss + 0x10000}, all, 1, 2},
		"nothing is believed":         {Registers{PCR: pcr(0), GDT: gdt}, func(vtop.VA) bool { return false }, 0, 0},
		"the task alone is believed":  {Registers{PCR: pcr(0), TSS: tss + 0x20000}, func(va vtop.VA) bool { return va == tss+0x20000 }, 2, 1},
		"the task in place of a GDT":  {Registers{GDT: tss + 0x20000}, all, 0, 0},
		"a KPCR that is no processor": {Registers{PCR: pcr(2) + 0x20000}, all, 0, 0},
	} {
		i, proofs := owners.Of(tt.r, tt.believe)
		assert.Equal(t, tt.want, i, name)
		assert.Equal(t, tt.proofs, proofs, name)
	}
}

func TestStopPoints(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	k := guestKernel(t, g)
	at := vtop.VA(g.Field("BreakpointWithStatus"))
	broken := StopPoint{Name: "DbgBreakPointWithStatus", First: at - breakReach, Last: at + breakReach, Rank: 1}
	assert.Equal(t, []StopPoint{broken}, k.StopPoints(nil), "no image")
	g.Image(guestsim.KernBase, guestsim.ImageIdentity{Size: g.ImageSize, Export: "ntoskrnl.exe", Variables: []guestsim.Variable{{Name: "KeBugCheckEx", RVA: 0x5000}}})
	im, err := k.ReadImage(guestsim.KernBase)
	require.NoError(t, err)
	ex := StopPoint{Name: "KeBugCheckEx", First: guestsim.KernBase + 0x5000, Last: guestsim.KernBase + 0x5000, Rank: 2, Exported: true}
	assert.Equal(t, []StopPoint{ex, broken}, k.StopPoints(im))
	assert.True(t, ex.Holds(ex.First))
	assert.False(t, ex.Holds(ex.First+1))
	k.Data.BreakpointWithStatus = 0
	assert.Equal(t, []StopPoint{ex}, k.StopPoints(im))
}
