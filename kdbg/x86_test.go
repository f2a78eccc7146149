package kdbg

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
)

// kernel32 is a 32-bit kernel without PAE: 4 MiB at 82800000, and KUSER_SHARED_DATA.
type kernel32 struct{ mem memory }

const (
	nt32     = 0x82a00000
	kdbg32   = nt32 + 0x12ebe8
	loaded32 = nt32 + 0x14e4d0
	prcbs32  = nt32 + 0x17e8fc
	prcb32   = nt32 + 0x180120
	bug32    = nt32 + 0x1528e0
)

func newKernel32() *kernel32 {
	k := &kernel32{mem: make(memory, 0x800000)}
	phys := func(pa int, v uint32) { binary.LittleEndian.PutUint32(k.mem[pa:], v) }
	phys(0x1000+4*(nt32>>22), 0x400000|0xe3)
	phys(0x1000+4*0x3ff, 0x2000|0x63)
	phys(0x2000+4*0x1f0, 0x3000|0x63)

	k.put32(kdbg32, nt32+0x161b98, nt32+0x161b9c, 0, 0, wire.OwnerTag, 0x340)
	k.put64(kdbg32+0x18, nt32)
	k.put64(kdbg32+0x48, loaded32)
	k.put64(kdbg32+0x50, nt32+0x146df8)
	k.put64(kdbg32+0x88, 0xffffffff<<32|bug32) // sign-extended, as nobody should write it
	k.put64(kdbg32+0x138, 0x1000)
	k.put64(kdbg32+0x218, prcbs32)
	k.put32(kdbg32+0x338, 0x3618)

	k.put32(nt32, 0x5a4d)
	k.put32(nt32+0x3c, 0x80)
	k.put32(nt32+0x80, 0x4550, 0x14c)
	k.put32(nt32+0x80+24, 0x10b)
	k.put32(nt32+0x80+24+56, 0x200000)

	first, second := uint32(nt32+0x190000), uint32(nt32+0x190100)
	k.put32(loaded32, first, second)
	k.module(first, second, nt32, 0x200000, "ntoskrnl.exe")
	k.module(second, loaded32, 0x8b4e0000, 0x8000, "driver.sys")

	k.put32(prcbs32, prcb32, 0)
	k.put32(prcb32+0x3cc, 7)
	k.put32(prcb32+0x3618, nt32+0x1a0340)
	k.put32(bug32, 0x7e, 0xc0000005, 0x8b4e1234, 3, 4)
	return k
}

func (k *kernel32) at(va uint32) []byte { return k.mem[0x400000+va-0x82800000:] }

func (k *kernel32) put32(va uint32, values ...uint32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(k.at(va+4*uint32(i)), v)
	}
}

func (k *kernel32) put16(va uint32, v uint16) { binary.LittleEndian.PutUint16(k.at(va), v) }

func (k *kernel32) put64(va uint32, v uint64) { binary.LittleEndian.PutUint64(k.at(va), v) }

func (k *kernel32) module(at, next, base, size uint32, name string) {
	k.put32(at, next)
	k.put32(at+0x18, base, base+0x1000, size)
	for _, field := range []uint32{0x24, 0x2c} {
		k.put32(at+field, uint32(4*len(name))<<15|uint32(2*len(name)), at+0x40)
	}
	for i, u := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(k.at(at+0x40+2*uint32(i)), u)
	}
}

func (k *kernel32) memory() Memory { return X86.In(vtop.NewSpace(k.mem, 0x1000, vtop.X86)) }

func TestKernel32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	m := k.memory()
	b, err := m.Read(kdbg32, Expect{PsLoadedModuleList: loaded32, PsActiveProcessHead: nt32 + 0x146df8})
	require.NoError(t, err)
	assert.Equal(t, wire.ListEntry64{Flink: nt32 + 0x161b98, Blink: nt32 + 0x161b9c}, b.Data.Header.List)
	assert.Equal(t, uint64(bug32), b.Data.KiBugcheckData, "the lower half counts")
	assert.Len(t, b.Raw, 0x340)

	list, err := b.Processors(2)
	require.NoError(t, err)
	assert.Equal(t, Processor{
		PRCB: prcb32, PCR: prcb32 - 0x120, Number: 7, Context: nt32 + 0x1a0340,
	}, list[0], "offsets that the block lacks are those of Windows 7")
	require.ErrorIs(t, list[1].Err, ErrNullPRCB)

	modules, err := m.ModulesAt(loaded32)
	require.NoError(t, err)
	require.Len(t, modules, 2)
	assert.Equal(t, Module{
		Entry: nt32 + 0x190100, Base: 0x8b4e0000, EntryPoint: 0x8b4e1000, Size: 0x8000,
		Name: "driver.sys", FullName: "driver.sys",
	}, modules[1])

	bc, err := b.BugCheck()
	require.NoError(t, err)
	assert.Equal(t, BugCheck{Code: 0x7e, Parameters: [4]uint64{0xc0000005, 0x8b4e1234, 3, 4}}, bc)

	size, err := m.ImageSize(nt32)
	require.NoError(t, err)
	assert.EqualValues(t, 0x200000, size)
	_, err = m.Decode(kdbg32, Expect{})
	require.ErrorIs(t, err, ErrNotFound)
}

// TestKernelXP: a block that ends before the offsets has those of XP.
func TestKernelXP(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	k.put32(kdbg32+0x14, 0x290)
	k.put32(prcb32+0x10, 0x01020305)
	b, err := k.memory().Read(kdbg32, Expect{})
	require.NoError(t, err)
	assert.Len(t, b.Raw, 0x290)
	list, err := b.Processors(1)
	require.NoError(t, err)
	assert.Equal(t, Processor{
		PRCB: prcb32, PCR: prcb32 - 0x120, Number: 5, Context: prcb32 + 0x1c, SpecialRegisters: prcb32 + 0x2e8,
	}, list[0])
}

func TestKernel32Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(k *kernel32)
		want  string
	}{
		"user base": {func(k *kernel32) { k.put64(kdbg32+0x18, 0x400000) }, "KernBase"},
		"no image": {func(k *kernel32) {
			k.put32(nt32, 0x4550)
			k.put32(loaded32, 0)
		}, "MZ"},
		"list outside":  {func(k *kernel32) { k.put64(kdbg32+0x50, nt32-0x1000) }, "PsActiveProcessHead"},
		"first module":  {func(k *kernel32) { k.put32(nt32+0x190018, 0x8b4e0000) }, "the base of the first loaded module"},
		"another block": {func(k *kernel32) { k.put32(kdbg32+0x10, 0) }, "OwnerTag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel32()
			tt.spoil(k)
			_, err := k.memory().Read(kdbg32, Expect{})
			require.ErrorContains(t, err, tt.want)
		})
	}
	// Without an image's headers, the loader's list is enough.
	k := newKernel32()
	k.put32(nt32, 0)
	_, err := k.memory().Read(kdbg32, Expect{})
	require.NoError(t, err)
	// Before Windows 7 the number is one byte.
	k = newKernel32()
	k.put32(kdbg32+0x2bc, 0x10<<16)
	k.put32(prcb32+0x10, 0x01020303)
	b, err := k.memory().Read(kdbg32, Expect{})
	require.NoError(t, err)
	list, err := b.Processors(1)
	require.NoError(t, err)
	assert.EqualValues(t, 3, list[0].Number)

	k.put32(kdbg32+0x88, 0xfffff000) // not mapped
	b, err = k.memory().Read(kdbg32, Expect{})
	require.NoError(t, err)
	_, err = b.BugCheck()
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	k.put32(loaded32, 0xfffff000)
	_, err = k.memory().ModulesAt(loaded32)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

// TestQEMU32 reads all of a 32-bit guest as QEMU dumped it, with PAE and without.
func TestQEMU32(t *testing.T) {
	t.Parallel()
	for name, variant := range map[string][]string{"PAE": {"bsod"}, "no PAE": {"nopae", "bsod", "odd"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := qemutest.Start(t, qemutest.Config{Guest32: true, CPUs: 2, Variant: variant})
			path := filepath.Join(t.TempDir(), "core")
			require.NoError(t, vm.DumpELF(path, qemutest.ELFOptions{}))
			im, err := open.File(t.Context(), path, open.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { _ = im.Close() })
			require.Equal(t, physmem.MachineX86, im.Machine())
			h, err := winhdr.X86.Decode(im.GuestNote().Desc)
			require.NoError(t, err)
			assert.Empty(t, h.Check())
			cpus := im.CPUs()
			require.Len(t, cpus, 2)
			mode := vtop.X86
			if physmem.X86Of(cpus[0]).PAE() {
				mode = vtop.PAE
			}
			m := X86.In(vtop.NewSpace(im, h.DirectoryTableBase, mode))
			assert.Equal(t, h.PaeEnabled == 1, physmem.X86Of(cpus[0]).PAE())
			assert.Equal(t, h.DirectoryTableBase, physmem.X86Of(cpus[0]).CR3)

			e := Expect{PsLoadedModuleList: vtop.VA(h.PsLoadedModuleList), PsActiveProcessHead: vtop.VA(h.PsActiveProcessHead)}
			for _, at := range []uint64{h.KdDebuggerDataBlock, h.BugCheckParameters[0]} {
				b, err := m.Read(vtop.VA(at), e)
				require.NoError(t, err)
				list, err := b.Processors(int(h.NumberProcessors))
				require.NoError(t, err)
				for i, p := range list {
					require.NoError(t, p.Err)
					assert.EqualValues(t, i, p.Number)
					assert.Equal(t, uint64(p.PCR), physmem.X86Of(cpus[i]).KernelFS())
					r, err := m.SpecialRegisters(p.SpecialRegisters)
					require.NoError(t, err)
					sr, ok := r.(*specials.X86Values)
					require.True(t, ok)
					assert.Equal(t, h.DirectoryTableBase, sr.Cr3)
					assert.Equal(t, physmem.X86Of(cpus[i]).IDT.Base, uint64(sr.Idtr.Base))
					assert.Equal(t, physmem.X86Of(cpus[i]).GDT.Limit, uint32(sr.Gdtr.Limit))
					assert.EqualValues(t, 0x28, sr.Tr)
					c := make([]byte, winhdr.ContextSize32)
					_, err = m.Space.ReadVirtual(c, p.Context)
					require.NoError(t, err)
					saved, err := winhdr.DecodeContext32(c)
					require.NoError(t, err)
					require.NoError(t, saved.PlausibleSaved())
				}
				bc, err := b.BugCheck()
				require.NoError(t, err)
				assert.EqualValues(t, 0x7e, bc.Code)
				assert.Equal(t, uint64(0xc0000005), bc.Parameters[0])
			}
			modules, err := m.ModulesAt(e.PsLoadedModuleList)
			require.NoError(t, err)
			require.Len(t, modules, 3)
			assert.Equal(t, "ntoskrnl.exe", modules[0].Name)
			assert.Equal(t, `\SystemRoot\System32\drivers\testdrv.sys`, modules[2].FullName)
			ksd, err := m.SharedUserData()
			require.NoError(t, err)
			assert.Equal(t, `C:\Windows`, ksd.NtSystemRoot)
			assert.EqualValues(t, 6, ksd.NtMajorVersion)
			assert.EqualValues(t, 2, ksd.ActiveProcessorCount)
		})
	}
}
