package physmem_test

import (
	"bytes"
	"debug/elf"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// TestEncodeELF: what is written reads back, also when the program headers are
// too many for e_phnum.
func TestEncodeELF(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 0xfffe, 0xffff, 0x12345} {
		var ranges []physmem.Range
		for i := range n {
			ranges = append(ranges, physmem.Range{Start: uint64(i) * 0x2000, Size: 0x1000})
		}
		cpus := []physmem.CPU{
			{Index: 0, ID: 0, Rip: 1, CS: physmem.Segment{Selector: 0x10}, CR3: 0x1000, HasSystem: true, HasKernelGSBase: true, KernelGSBase: 5},
			{Index: 1, ID: 1, Rsp: 2, GS: physmem.Segment{Base: 7}, TR: physmem.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: 9}, HasSystem: true, HasKernelGSBase: true},
		}
		note := bytes.Repeat([]byte("note"), 11)
		front, err := physmem.EncodeELF(ranges, cpus, note, false)
		require.NoError(t, err)
		file := slices.Concat(front, bytes.Repeat([]byte{0xab}, 0x1000))
		im, err := physmem.New(bytes.NewReader(file), int64(len(front)+n*0x1000))
		require.NoError(t, err)
		assert.Empty(t, im.Oddities())
		assert.Equal(t, ranges, im.Ranges())
		assert.Equal(t, note, im.GuestNote().Desc)
		got := im.CPUs()
		require.Len(t, got, 2)
		for i := range got {
			got[i].NoteOffset = 0
			assert.Equal(t, cpus[i], got[i])
		}
		var b [1]byte
		_, err = im.ReadAt(b[:], 0)
		require.NoError(t, err)
		assert.Equal(t, byte(0xab), b[0])
	}
	_, err := physmem.EncodeELF(make([]physmem.Range, 1<<22), nil, nil, false)
	require.Error(t, err)
}

// TestEncodeELF32: the core of a 32-bit machine is ELF32 as long as addresses and
// offsets fit.
func TestEncodeELF32(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ranges []physmem.Range
		class  elf.Class
	}{
		"small":               {[]physmem.Range{{Start: 0, Size: 0xa0000}, {Start: 0x100000, Size: 0x1000}}, elf.ELFCLASS32},
		"below 4 GiB":         {[]physmem.Range{{Start: 0xffff_f000, Size: 0x1000}}, elf.ELFCLASS32},
		"above 4 GiB":         {[]physmem.Range{{Start: 0, Size: 0x1000}, {Start: 1 << 32, Size: 0x1000}}, elf.ELFCLASS64},
		"offsets above 4 GiB": {[]physmem.Range{{Start: 0, Size: 1<<32 - 0x200}}, elf.ELFCLASS64},
	} {
		cpu := physmem.CPU{
			Is32: true, Rax: 1, Rbx: 2, Rcx: 3, Rdx: 4, Rsi: 5, Rdi: 6, Rsp: 7, Rbp: 8, Rip: 0x82a00000, Rflags: 0x246,
			CS: physmem.Segment{Selector: 8}, SS: physmem.Segment{Selector: 0x10}, FS: physmem.Segment{Selector: 0x30, Base: 0x82b00000},
			CR3: 0x185000, CR4: 0x6f8, HasSystem: true, HasKernelGSBase: true,
		}
		front, err := physmem.EncodeELF(tt.ranges, []physmem.CPU{cpu}, []byte("note"), true)
		require.NoError(t, err)
		size := int64(len(front))
		for _, r := range tt.ranges {
			size += int64(r.Size)
		}
		im, err := physmem.New(bytes.NewReader(front), size)
		require.NoError(t, err, name)
		assert.Equal(t, byte(tt.class), front[elf.EI_CLASS], name)
		assert.True(t, im.Is32(), name)
		assert.Equal(t, tt.ranges, im.Ranges(), name)
		assert.Empty(t, im.Oddities(), name)
		got := im.CPUs()
		require.Len(t, got, 1, name)
		got[0].NoteOffset = 0
		assert.Equal(t, cpu, got[0], name)
	}
}
