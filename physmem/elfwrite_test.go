package physmem_test

import (
	"bytes"
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
		front, err := physmem.EncodeELF(ranges, cpus, note)
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
	_, err := physmem.EncodeELF(make([]physmem.Range, 1<<22), nil, nil)
	require.Error(t, err)
}
