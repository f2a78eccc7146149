package locate

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// TestFind32 finds the block in the image of a kernel of 32 bits.
func TestFind32(t *testing.T) {
	t.Parallel()
	k := guestsim.NewKernel32()
	m := memory32(k)
	im, err := m.ReadImage(guestsim.NT32)
	require.NoError(t, err)
	b, err := InImage(context.Background(), m, im)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.KDBG32), b.VA)
	assert.True(t, b.Linked())
	k.Put32(guestsim.KDBG32+0x10, 0)
	_, err = InImage(context.Background(), m, im)
	require.ErrorIs(t, err, kdbg.ErrNotFound)
}

func memory32(k *guestsim.Kernel32) kdbg.Memory {
	return kdbg.X86.In(vtop.NewSpace(k.Mem, 0x1000, vtop.X86))
}

// TestBlocks32 finds a block in physical memory, among what is nearly one.
func TestBlocks32(t *testing.T) {
	t.Parallel()
	k := guestsim.NewKernel32()
	const pa = 0x400000 + guestsim.KDBG32 - 0x82800000
	want := Candidate{At: pa, Layout: kdbg.X86, Size: 0x340, List: guestsim.NT32 + 0x161b98, KernBase: guestsim.NT32, PageSize: physmem.PageSize}
	all := []physmem.Range{{Size: uint64(len(k.Mem))}}
	found, err := Blocks(context.Background(), k.Mem, all, kdbg.X64, kdbg.X86)
	require.NoError(t, err)
	require.Equal(t, []Candidate{want}, found)
	va, ok := found[0].Place(memory32(k).Space)
	assert.True(t, ok)
	assert.Equal(t, vtop.VA(guestsim.KDBG32), va)
	k.Put32(guestsim.NT32+0x161b98, 0)
	va, ok = found[0].Place(memory32(k).Space)
	assert.True(t, ok, "by the pages of the image")
	assert.Equal(t, vtop.VA(guestsim.KDBG32), va)

	k.Put64(guestsim.KDBG32+0x18, 0xffffffff<<32|guestsim.NT32)
	found, err = Blocks(context.Background(), k.Mem, all, kdbg.X64, kdbg.X86)
	require.NoError(t, err)
	assert.Equal(t, []Candidate{want}, found, "extended by the sign")
	for name, poke := range map[string]func(){
		"size":          func() { k.Put32(guestsim.KDBG32+0x14, 0x341) },
		"no zeros":      func() { k.Put32(guestsim.KDBG32+0xc, 1) },
		"user's base":   func() { k.Put64(guestsim.KDBG32+0x18, 0x400000) },
		"upper half":    func() { k.Put64(guestsim.KDBG32+0x18, 1<<32|guestsim.NT32) },
		"page size":     func() { k.Put64(guestsim.KDBG32+0x138, 0x2000) },
		"list outside":  func() { k.Put64(guestsim.KDBG32+0x48, guestsim.NT32-8) },
		"list far away": func() { k.Put64(guestsim.KDBG32+0x50, guestsim.NT32+peimage.MaxSize) },
	} {
		was := bytes.Clone(k.At(guestsim.KDBG32)[:0x340])
		poke()
		found, err = Blocks(context.Background(), k.Mem, all, kdbg.X64, kdbg.X86)
		require.NoError(t, err)
		assert.Empty(t, found, name)
		copy(k.At(guestsim.KDBG32), was)
	}
}
