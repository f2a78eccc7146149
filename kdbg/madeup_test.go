package kdbg_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg"
	"windmp/kdbg/locate"
	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/vtop"
)

// madeUp is a machine that does not exist: pointers of 64 bits, a kernel that lies
// elsewhere, other offsets, no descriptor tables, and special registers of its own.
var madeUp = &kdbg.Layout{
	PointerSize:  8,
	LowestKernel: 0xffff900000000000,
	FirstImage:   0xffff900000000000, LastImage: 0xffff9000ffffffff,
	SharedUserData: 0xffff9001_00000000,
	Image:          peimage.Format{Machine: 0x1234, Magic: 0x20b},
	Loader:         kdbg.LoaderLayout{DllBase: 0x10, EntryPoint: 0x18, SizeOfImage: 0x20, FullDllName: 0x28, BaseDllName: 0x38},
	Processor: kdbg.ProcessorLayout{
		Self: 0x8, CurrentPrcb: 0x10, Prcb: 0x40,
		SpecialRegisters: func(*wire.Data) uint16 { return 0x100 },
	},
	Specials: specials.Codec{
		Size: 16,
		Decode: func(b []byte) specials.Registers {
			return madeUpSpecials{root: binary.LittleEndian.Uint64(b), status: binary.LittleEndian.Uint64(b[8:])}
		},
		Edits: func(s specials.Registers) []specials.Edit {
			v, ok := s.(madeUpSpecials)
			if !ok {
				return nil
			}
			return []specials.Edit{{Offset: 8, Bytes: binary.LittleEndian.AppendUint64(nil, v.status), What: "STATUS"}}
		},
	},
}

type madeUpSpecials struct{ root, status uint64 }

func (s madeUpSpecials) Root() uint64              { return s.root }
func (s madeUpSpecials) UpperRoot() uint64         { return 0 }
func (s madeUpSpecials) CodeTable() specials.Table { return specials.Table{} }
func (s madeUpSpecials) Clone() specials.Registers { return s }

// flatMemory is guest-physical memory that is mapped from kernelStart on, page by page.
type flatMemory []byte

const kernelStart = 0xffff900000000000

func (m flatMemory) ReadAt(p []byte, off int64) (int, error) { return copy(p, m[off:]), nil }

func (m flatMemory) put(va uint64, values ...uint64) {
	for i, v := range values {
		binary.LittleEndian.PutUint64(m[va-kernelStart+0x10000+uint64(i)*8:], v)
	}
}

func newFlatMemory() (flatMemory, *vtop.Space) {
	m := make(flatMemory, 0x80000)
	for level, table := range []uint64{0x1000, 0x2000, 0x3000} {
		binary.LittleEndian.PutUint64(m[table+(uint64(kernelStart)>>(39-9*level)&511)*8:], table+0x1000|3)
	}
	for i := range uint64(0x40) {
		binary.LittleEndian.PutUint64(m[0x4000+8*i:], 0x10000+0x1000*i|3)
	}
	return m, vtop.NewSpace(m, 0x1000, vtop.X64)
}

// TestMadeUpMachine reads a kernel by a layout that is made of exported fields alone.
func TestMadeUpMachine(t *testing.T) {
	t.Parallel()
	const (
		base, block, head, entry = kernelStart, kernelStart + 0x2000, kernelStart + 0x3000, kernelStart + 0x3100
		array, prcb, name        = kernelStart + 0x4000, kernelStart + 0x5040, kernelStart + 0x3200
	)
	m, space := newFlatMemory()
	m.put(base, 0x5a4d)
	m.put(block, head+0x80, head+0x80, 0x390<<32|uint64(wire.OwnerTag), base)
	m.put(head+0x80, block)
	m.put(block+0x48, head, base+0x800)
	m.put(block+0x138, 0x1000)
	m.put(block+0x218, array)
	m.put(block+0x2b8, 0x200<<32) // OffsetPrcbProcStateContext
	m.put(head, entry)
	m.put(entry, head, head, base, base+0x1000, 0x6000, 0, 0, 8<<16|8, name)
	m.put(name, 0x0065006b<<32|0x00720065) // "erke"
	m.put(array, prcb)
	m.put(prcb-0x40+8, prcb-0x40, prcb)
	m.put(prcb+0x100, 0x1000, 7)

	found, err := locate.Blocks(context.Background(), m, []physmem.Range{{Size: uint64(len(m))}}, kdbg.X86, madeUp)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Same(t, madeUp, found[0].Layout)
	va, ok := found[0].Place(space)
	require.True(t, ok)
	kernel, err := found[0].Read(space, va)
	require.NoError(t, err)
	assert.Equal(t, vtop.VA(block), kernel.VA)

	modules, err := kernel.Modules()
	require.NoError(t, err)
	require.Len(t, modules, 1)
	assert.Equal(t, kdbg.Module{Entry: entry, Base: base, EntryPoint: base + 0x1000, Size: 0x6000, Name: "erke"}, modules[0])
	list, err := kernel.Processors(1)
	require.NoError(t, err)
	require.NoError(t, list[0].Err)
	assert.Equal(t, vtop.VA(prcb-0x40), list[0].PCR)
	assert.Equal(t, list[0].PCR, kernel.PCR(kdbg.Registers{PCR: prcb - 0x40}))
	require.NoError(t, kernel.CheckPCR(list[0].PCR))

	s, err := kernel.SpecialRegisters(list[0].SpecialRegisters)
	require.NoError(t, err)
	assert.Equal(t, madeUpSpecials{root: 0x1000, status: 7}, s)
	edits := madeUp.Specials.Edits(s)
	require.Len(t, edits, 1)
	assert.Equal(t, []byte{7, 0, 0, 0, 0, 0, 0, 0}, edits[0].Bytes)
	require.NoError(t, kernel.CheckCode(s), "there is no table to look into")
	require.NoError(t, kernel.CheckSegment(s, &list[0]))
	_, err = kernel.Gate(base, 0)
	require.Error(t, err)
	assert.Equal(t, []vtop.VA{base + 0x100}, kernel.Hints(kdbg.Registers{IP: base + 0x100}))
	assert.Empty(t, kernel.KernelRoots(kdbg.Registers{PCR: prcb - 0x40}))
}
