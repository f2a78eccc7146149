package kdbg

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// What [kernel32] is given on top, in the pages of its image.
const (
	idt32     = nt32 + 0x1b0000
	gdt32     = nt32 + 0x1b1000
	pcr32     = prcb32 - 0x120
	version32 = nt32 + 0x1b2000
	runs32    = nt32 + 0x1b3000
	system32  = nt32 + 0x1b4000
	thread32  = nt32 + 0x1b5000
)

// newWhole32 is a kernel32 with what leads to it and what hangs off it.
func newWhole32() *kernel32 {
	k := newKernel32()
	k.put32(nt32+0x161b98, kdbg32, kdbg32)
	k.put32(idt32+8*3, 0x00081234, 0x82a0ee00)
	k.put32(gdt32+0x30, uint32(pcr32&0xffff)<<16|0x3748, uint32(pcr32)&0xff000000|0x00409300|uint32(pcr32)>>16&0xff)
	k.put32(pcr32+0x1c, pcr32, prcb32)
	k.put32(pcr32+0x34, version32)
	k.put32(version32, 7601<<16|0xf, 6, 0x14c)
	k.put64(version32+0x10, 0xffffffff<<32|nt32)
	k.put64(version32+0x18, 0xffffffff<<32|loaded32)
	k.put64(kdbg32+0x270, runs32+0x800)
	k.put32(runs32+0x800, runs32)
	k.put32(runs32, 2, 0x1000, 1, 0x9e, 0x100, 0xf62)
	k.put32(prcb32+0xc, thread32)
	k.put32(kdbg32+0x2a0, 0x50)
	k.put32(thread32+0x50, system32)
	k.put32(system32+0x18, 0x1000)
	return k
}

func (k *kernel32) kernel(t *testing.T) *Kernel {
	t.Helper()
	b, err := k.memory().Read(kdbg32, Expect{})
	require.NoError(t, err)
	return b
}

func TestFind32(t *testing.T) {
	t.Parallel()
	k := newWhole32()
	m := k.memory()
	handler, err := m.Gate(idt32, 3)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(0x82a01234), handler)
	_, err = m.Gate(idt32, 4)
	require.ErrorIs(t, err, ErrNotKernel)
	im, err := m.FindImage(handler)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(nt32), im.Base)
	_, err = m.FindImage(nt32 + 0x200000)
	require.Error(t, err, "behind the image")

	b, err := m.FindBlock(context.Background(), im)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(kdbg32), b.VA)
	assert.True(t, b.linked())
	k.put32(kdbg32+0x10, 0)
	_, err = m.FindBlock(context.Background(), im)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPCR32(t *testing.T) {
	t.Parallel()
	k := newWhole32()
	m := k.memory()
	pcr, err := m.describedPCR(gdt32)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(pcr32), pcr)
	v, err := k.kernel(t).Version(pcr)
	require.NoError(t, err)
	assert.Equal(t, &Version{Major: 0xf, Minor: 7601, Machine: 0x14c, KernBase: nt32, PsLoadedModuleList: loaded32}, v)

	_, err = m.describedPCR(gdt32 - 0x1000)
	require.ErrorIs(t, err, vtop.ErrNotMapped, "a descriptor of zeros leads to address 0")
	_, err = m.describedPCR(0x1000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	k.put32(pcr32+0x20, 0)
	_, err = m.describedPCR(gdt32)
	require.ErrorIs(t, err, ErrNotKernel)
}

func TestMemory32(t *testing.T) {
	t.Parallel()
	k := newWhole32()
	runs, err := k.kernel(t).PhysicalMemory()
	require.NoError(t, err)
	assert.Equal(t, physmem.Runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0xf62}}, runs)
	for name, tt := range map[string]struct {
		poke func(k *kernel32)
		want error
	}{
		"no block":   {func(k *kernel32) { k.put32(runs32+0x800, 0x1000) }, ErrNotKernel},
		"not mapped": {func(k *kernel32) { k.put32(runs32+0x800, 0xf0000000) }, vtop.ErrNotMapped},
		"no runs":    {func(k *kernel32) { k.put32(runs32, 0) }, ErrTooMany},
		"2^32 runs":  {func(k *kernel32) { k.put32(runs32, 0xffffffff) }, ErrTooMany},
		"an overlap": {func(k *kernel32) { k.put32(runs32+16, 0x50) }, ErrImplausible},
		"wrong sum":  {func(k *kernel32) { k.put32(runs32+4, 0x1001) }, ErrImplausible},
	} {
		k := newWhole32()
		tt.poke(k)
		_, err := k.kernel(t).PhysicalMemory()
		require.ErrorIs(t, err, tt.want, name)
	}
}

func TestSystemDirectory32(t *testing.T) {
	t.Parallel()
	k := newWhole32()
	dtb, err := k.kernel(t).SystemDirectory(nil, prcb32)
	require.NoError(t, err)
	assert.Equal(t, uint64(0x1000), dtb)
	k.put32(thread32+0x50, 0x1000)
	_, err = k.kernel(t).SystemDirectory(nil, prcb32)
	require.ErrorIs(t, err, ErrNotKernel)
	// The block of XP does not say where a thread has its process.
	k.put32(kdbg32+0x2a0, 0)
	k.put32(thread32+0x44, system32)
	_, err = k.kernel(t).SystemDirectory(nil, prcb32)
	require.NoError(t, err)
}

// TestLocate32 finds a block in physical memory, among what is nearly one.
func TestLocate32(t *testing.T) {
	t.Parallel()
	k := newWhole32()
	const pa = 0x400000 + kdbg32 - 0x82800000
	want := Candidate{At: pa, Layout: X86, Size: 0x340, List: nt32 + 0x161b98, KernBase: nt32}
	all := []physmem.Range{{Size: uint64(len(k.mem))}}
	found, err := Locate(context.Background(), k.mem, all, X64, X86)
	require.NoError(t, err)
	require.Equal(t, []Candidate{want}, found)
	va, ok := found[0].Place(k.memory().Space)
	assert.True(t, ok)
	assert.Equal(t, vtop.VA(kdbg32), va)
	k.put32(nt32+0x161b98, 0)
	va, ok = found[0].Place(k.memory().Space)
	assert.True(t, ok, "by the pages of the image")
	assert.Equal(t, vtop.VA(kdbg32), va)

	k.put64(kdbg32+0x18, 0xffffffff<<32|nt32)
	found, err = Locate(context.Background(), k.mem, all, X64, X86)
	require.NoError(t, err)
	assert.Equal(t, []Candidate{want}, found, "extended by the sign")
	for name, poke := range map[string]func(){
		"size":          func() { k.put32(kdbg32+0x14, 0x341) },
		"no zeros":      func() { k.put32(kdbg32+0xc, 1) },
		"user's base":   func() { k.put64(kdbg32+0x18, 0x400000) },
		"upper half":    func() { k.put64(kdbg32+0x18, 1<<32|nt32) },
		"page size":     func() { k.put64(kdbg32+0x138, 0x2000) },
		"list outside":  func() { k.put64(kdbg32+0x48, nt32-8) },
		"list far away": func() { k.put64(kdbg32+0x50, nt32+peimage.MaxSize) },
	} {
		was := bytes.Clone(k.at(kdbg32)[:0x340])
		poke()
		found, err = Locate(context.Background(), k.mem, all, X64, X86)
		require.NoError(t, err)
		assert.Empty(t, found, name)
		copy(k.at(kdbg32), was)
	}
}

// FuzzKernel32 reads what hangs off a 32-bit kernel whose words were overwritten:
// each 8 bytes are an offset in the image and a value.
func FuzzKernel32(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x08, 0xec, 0x12, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x30, 0x1b, 0, 0, 4, 0, 0})
	f.Fuzz(func(t *testing.T, pokes []byte) {
		k := newWhole32()
		for ; len(pokes) >= 8; pokes = pokes[8:] {
			at := binary.LittleEndian.Uint32(pokes) % 0x1fffff
			k.put32(nt32+at, binary.LittleEndian.Uint32(pokes[4:]))
		}
		m := k.memory()
		im, err := m.FindImage(nt32 + 0x1234)
		require.Equal(t, err == nil, im != nil)
		if err != nil {
			return
		}
		b, err := m.FindBlock(context.Background(), im)
		require.Equal(t, err == nil, b != nil)
		if err != nil {
			return
		}
		require.False(t, b.Encoded)
		require.Equal(t, im.Base, vtop.VA(b.Data.KernBase))
		runs, err := b.PhysicalMemory()
		require.True(t, err != nil || len(runs) > 0 && len(runs) <= MaxMemoryRuns)
		if pcr, err := m.describedPCR(gdt32); err == nil {
			require.NoError(t, m.CheckPCR(pcr))
		}
		list, err := b.Processors(2)
		require.True(t, err != nil || len(list) == 2)
		_, _ = b.SystemDirectory(im, prcb32)
	})
}
