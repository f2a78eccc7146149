package migration_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// TestProcessors32 holds the places of the registers in what qemu-system-i386 writes,
// which has words of 4 bytes, whatever follows its first part.
func TestProcessors32(t *testing.T) {
	t.Parallel()
	var w writer
	w.begin("pc-i440fx-7.2")
	w.start(blockSize{"pc.ram", 2 << 20, nil})
	w.part(true, func() { w.page("pc.ram", 0, make([]byte, 4096)) })
	w.clock(2<<10, 0)
	w.cpu32(0)
	w.cpu32(1)
	im, err := physmemtest.Open(w.end())
	require.NoError(t, err)
	assert.Equal(t, physmem.MachineX86, im.Machine())
	require.Len(t, im.CPUs(), 2)
	for i, c := range im.CPUs() {
		n := uint64(0x100 * i)
		segment := func(i int) physmem.Segment {
			return physmem.Segment{Selector: uint16(8 * i), Base: 0x80000000 + uint64(i)<<12, Limit: uint32(0x1000 + i), Flags: uint32(0xc09b00 + i<<8)}
		}
		x := *physmem.X86Of(c)
		fx := x.FX
		x.FX = nil
		assert.Equal(t, physmem.X86{
			Is32: true,
			Rax:  n + 1, Rcx: n + 2, Rdx: n + 3, Rbx: n + 4, Rsp: n + 5, Rbp: n + 6, Rsi: n + 7, Rdi: n + 8,
			Rip: n + 9, Rflags: n + 10,
			ES: segment(0), CS: segment(1), SS: segment(2), DS: segment(3), FS: segment(4), GS: segment(5),
			LDT: segment(6), TR: segment(7), GDT: segment(8), IDT: segment(9),
			HasSystem: true, CR0: 0xc0, CR2: 0xc1, CR3: 0xc2, CR4: 0xc3,
			Debug: &physmem.DebugRegs{Dr0: 0xd0, Dr1: 0xd1, Dr2: 0xd2, Dr3: 0xd3, Dr6: 0xd6, Dr7: 0xd7},
		}, x)
		le := binary.LittleEndian
		assert.EqualValues(t, 0x27f, le.Uint16(fx), "control word")
		assert.EqualValues(t, 0x81, fx[4], "tag")
		assert.Equal(t, uint64(0x8000000000000000), le.Uint64(fx[32:]), "st0")
		assert.EqualValues(t, 0x1fa0, le.Uint32(fx[24:]), "mxcsr")
		assert.EqualValues(t, 0x7070, le.Uint64(fx[160+16*7:]), "xmm7")
		assert.Zero(t, le.Uint64(fx[160+16*8:]), "there is no xmm8")
	}
}
