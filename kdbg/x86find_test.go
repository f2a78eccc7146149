package kdbg

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/vtop"
)

func (k *kernel32) kernel(t *testing.T) *Kernel {
	t.Helper()
	b, err := k.memory().Read(guestsim.KDBG32, Expect{})
	require.NoError(t, err)
	return b
}

func TestFind32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	m := k.memory()
	handler, err := m.Gate(guestsim.IDT32, 3)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(0x82a01234), handler)
	_, err = m.Gate(guestsim.IDT32, 4)
	require.ErrorIs(t, err, ErrNotKernel)
	im, err := m.FindImage(handler)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.NT32), im.Base)
	_, err = m.FindImage(guestsim.NT32 + 0x200000)
	require.Error(t, err, "behind the image")
}

func TestPCR32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	m := k.memory()
	pcr, err := m.describedPCR(guestsim.GDT32)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(guestsim.PCR32), pcr)
	v, err := k.kernel(t).Version(pcr)
	require.NoError(t, err)
	assert.Equal(t, &Version{Major: 0xf, Minor: 7601, Machine: 0x14c, KernBase: guestsim.NT32, PsLoadedModuleList: guestsim.Loaded32}, v)

	_, err = m.describedPCR(guestsim.GDT32 - 0x1000)
	require.ErrorIs(t, err, vtop.ErrNotMapped, "a descriptor of zeros leads to address 0")
	_, err = m.describedPCR(0x1000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	k.Put32(guestsim.PCR32+0x20, 0)
	_, err = m.describedPCR(guestsim.GDT32)
	require.ErrorIs(t, err, ErrNotKernel)
}

func TestMemory32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	runs, err := k.kernel(t).PhysicalMemory()
	require.NoError(t, err)
	assert.Equal(t, physmem.Runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0xf62}}, runs)
	for name, tt := range map[string]struct {
		poke func(k *kernel32)
		want error
	}{
		"no block":   {func(k *kernel32) { k.Put32(guestsim.Runs32+0x800, 0x1000) }, ErrNotKernel},
		"not mapped": {func(k *kernel32) { k.Put32(guestsim.Runs32+0x800, 0xf0000000) }, vtop.ErrNotMapped},
		"no runs":    {func(k *kernel32) { k.Put32(guestsim.Runs32, 0) }, ErrTooMany},
		"2^32 runs":  {func(k *kernel32) { k.Put32(guestsim.Runs32, 0xffffffff) }, ErrTooMany},
		"an overlap": {func(k *kernel32) { k.Put32(guestsim.Runs32+16, 0x50) }, ErrImplausible},
		"wrong sum":  {func(k *kernel32) { k.Put32(guestsim.Runs32+4, 0x1001) }, ErrImplausible},
	} {
		k := newKernel32()
		tt.poke(k)
		_, err := k.kernel(t).PhysicalMemory()
		require.ErrorIs(t, err, tt.want, name)
	}
}

func TestSystemDirectory32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	dtb, err := k.kernel(t).SystemDirectory(nil, guestsim.PRCB32)
	require.NoError(t, err)
	assert.Equal(t, uint64(0x1000), dtb)
	k.Put32(guestsim.Thread32+0x50, 0x1000)
	_, err = k.kernel(t).SystemDirectory(nil, guestsim.PRCB32)
	require.ErrorIs(t, err, ErrNotKernel)
	// The block of XP does not say where a thread has its process.
	k.Put32(guestsim.KDBG32+0x2a0, 0)
	k.Put32(guestsim.Thread32+0x44, guestsim.System32)
	_, err = k.kernel(t).SystemDirectory(nil, guestsim.PRCB32)
	require.NoError(t, err)
}

// FuzzKernel32 reads what hangs off a 32-bit kernel whose words were overwritten:
// each 8 bytes are an offset in the image and a value.
func FuzzKernel32(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x08, 0xec, 0x12, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x30, 0x1b, 0, 0, 4, 0, 0})
	f.Fuzz(func(t *testing.T, pokes []byte) {
		k := newKernel32()
		for ; len(pokes) >= 8; pokes = pokes[8:] {
			at := binary.LittleEndian.Uint32(pokes) % 0x1fffff
			k.Put32(guestsim.NT32+at, binary.LittleEndian.Uint32(pokes[4:]))
		}
		m := k.memory()
		im, err := m.FindImage(guestsim.NT32 + 0x1234)
		require.Equal(t, err == nil, im != nil)
		if err != nil {
			return
		}
		b, err := m.Read(guestsim.KDBG32, Expect{KernBase: im.Base})
		require.Equal(t, err == nil, b != nil)
		if err != nil {
			return
		}
		require.False(t, b.Encoded)
		require.Equal(t, im.Base, vtop.VA(b.Data.KernBase))
		runs, err := b.PhysicalMemory()
		require.True(t, err != nil || len(runs) > 0 && len(runs) <= MaxMemoryRuns)
		if pcr, err := m.describedPCR(guestsim.GDT32); err == nil {
			require.NoError(t, m.CheckPCR(pcr))
		}
		list, err := b.Processors(2)
		require.True(t, err != nil || len(list) == 2)
		_, _ = b.SystemDirectory(im, guestsim.PRCB32)
	})
}
