package kdbg

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

// kernel32 is a small kernel of 32 bits.
type kernel32 struct{ *guestsim.Kernel32 }

func newKernel32() *kernel32 { return &kernel32{guestsim.NewKernel32()} }

func (k *kernel32) memory() Memory { return X86.In(vtop.NewSpace(k.Mem, 0x1000, vtop.X86)) }

func TestKernel32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	m := k.memory()
	b, err := m.Read(guestsim.KDBG32, Expect{PsLoadedModuleList: guestsim.Loaded32, PsActiveProcessHead: guestsim.NT32 + 0x146df8})
	require.NoError(t, err)
	assert.Equal(t, wire.ListEntry64{Flink: guestsim.NT32 + 0x161b98, Blink: guestsim.NT32 + 0x161b9c}, b.Data.Header.List)
	assert.Equal(t, uint64(guestsim.BugCheck32), b.Data.KiBugcheckData, "the lower half counts")
	assert.Len(t, b.Raw, 0x340)

	list, err := b.Processors(2)
	require.NoError(t, err)
	assert.Equal(t, Processor{
		PRCB: guestsim.PRCB32, PCR: guestsim.PRCB32 - 0x120, Number: 7, Context: guestsim.NT32 + 0x1a0340,
	}, list[0], "offsets that the block lacks are those of Windows 7")
	require.ErrorIs(t, list[1].Err, ErrNullPRCB)

	modules, err := m.ModulesAt(guestsim.Loaded32)
	require.NoError(t, err)
	require.Len(t, modules, 2)
	assert.Equal(t, Module{
		Entry: guestsim.NT32 + 0x190100, Base: 0x8b4e0000, EntryPoint: 0x8b4e1000, Size: 0x8000,
		Name: "driver.sys", FullName: "driver.sys",
	}, modules[1])

	bc, err := b.BugCheck()
	require.NoError(t, err)
	assert.Equal(t, BugCheck{Code: 0x7e, Parameters: [4]uint64{0xc0000005, 0x8b4e1234, 3, 4}}, bc)

	size, err := m.ImageSize(guestsim.NT32)
	require.NoError(t, err)
	assert.EqualValues(t, 0x200000, size)
	_, err = m.Decode(guestsim.KDBG32, Expect{})
	require.ErrorIs(t, err, ErrNotFound)
}

// TestKernelXP: a block that ends before the offsets has those of XP.
func TestKernelXP(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	k.Put32(guestsim.KDBG32+0x14, 0x290)
	k.Put32(guestsim.PRCB32+0x10, 0x01020305)
	b, err := k.memory().Read(guestsim.KDBG32, Expect{})
	require.NoError(t, err)
	assert.Len(t, b.Raw, 0x290)
	list, err := b.Processors(1)
	require.NoError(t, err)
	assert.Equal(t, Processor{
		PRCB: guestsim.PRCB32, PCR: guestsim.PRCB32 - 0x120, Number: 5, Context: guestsim.PRCB32 + 0x1c, SpecialRegisters: guestsim.PRCB32 + 0x2e8,
	}, list[0])
}

func TestKernel32Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(k *kernel32)
		want  string
	}{
		"user base": {func(k *kernel32) { k.Put64(guestsim.KDBG32+0x18, 0x400000) }, "KernBase"},
		"no image": {func(k *kernel32) {
			k.Put32(guestsim.NT32, 0x4550)
			k.Put32(guestsim.Loaded32, 0)
			k.Put32(guestsim.NT32+0x161b98, 0)
		}, "MZ"},
		"list outside":  {func(k *kernel32) { k.Put64(guestsim.KDBG32+0x50, guestsim.NT32-0x1000) }, "PsActiveProcessHead"},
		"first module":  {func(k *kernel32) { k.Put32(guestsim.NT32+0x190018, 0x8b4e0000) }, "the base of the first loaded module"},
		"another block": {func(k *kernel32) { k.Put32(guestsim.KDBG32+0x10, 0) }, "OwnerTag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel32()
			tt.spoil(k)
			_, err := k.memory().Read(guestsim.KDBG32, Expect{})
			require.ErrorContains(t, err, tt.want)
		})
	}
	// Without an image's headers, the loader's list is enough.
	k := newKernel32()
	k.Put32(guestsim.NT32, 0)
	_, err := k.memory().Read(guestsim.KDBG32, Expect{})
	require.NoError(t, err)
	// Before Windows 7 the number is one byte.
	k = newKernel32()
	k.Put32(guestsim.KDBG32+0x2bc, 0x10<<16)
	k.Put32(guestsim.PRCB32+0x10, 0x01020303)
	b, err := k.memory().Read(guestsim.KDBG32, Expect{})
	require.NoError(t, err)
	list, err := b.Processors(1)
	require.NoError(t, err)
	assert.EqualValues(t, 3, list[0].Number)

	k.Put32(guestsim.KDBG32+0x88, 0xfffff000) // not mapped
	b, err = k.memory().Read(guestsim.KDBG32, Expect{})
	require.NoError(t, err)
	_, err = b.BugCheck()
	require.ErrorIs(t, err, vtop.ErrNotMapped)
	k.Put32(guestsim.Loaded32, 0xfffff000)
	_, err = k.memory().ModulesAt(guestsim.Loaded32)
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
					c := make([]byte, wincontext.ContextSize32)
					_, err = m.Space.ReadVirtual(c, p.Context)
					require.NoError(t, err)
					saved, err := wincontext.DecodeContext32(c)
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
