package migration_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/migration/internal/vcpu"
)

// armSection is the data of a section as QEMU 7.2 writes it, by offsets.
func armSection() []byte {
	be := binary.BigEndian
	b := make([]byte, 0x23c)
	for i := range 32 { // x0 to x30, sp
		be.PutUint64(b[64+8*i:], 0x100+uint64(i))
	}
	be.PutUint64(b[320:], 0xfffff803f3208804)
	be.PutUint32(b[328:], 0x600003c4)
	be.PutUint64(b[336+8:], 0x60000144)
	be.PutUint64(b[504+8:], 0xfffff803f3208800)
	be.PutUint32(b[568:], 3)
	// TTBR0_EL1, VBAR_EL1, TPIDR_EL1.
	for _, v := range []uint64{0x603000000013c100, 0x603000000013c600, 0x603000000013c684, 0x40000040000000, 0xfffff803f3002800, 0xfffff803efd00000} {
		b = be.AppendUint64(b, v)
	}
	b = append(b, make([]byte, 65)...)
	b = append(b, "\x05\x07cpu/vfp\x00\x00\x00\x03"...)
	for i := range uint64(64) {
		b = be.AppendUint64(b, 0x200+i)
	}
	b = append(b, make([]byte, 60)...)
	return be.AppendUint32(b, 0x10|1<<22)
}

func TestCPUARM64(t *testing.T) {
	t.Parallel()
	good := armSection()
	v := vcpu.Decode(22, good)
	require.NotNil(t, v)
	c, ok := v.Registers(v).(*physmem.ARM64)
	require.True(t, ok)
	assert.EqualValues(t, 0x100, c.X[0])
	assert.EqualValues(t, 0x11e, c.X[30])
	assert.EqualValues(t, 0x11f, c.SP)
	assert.Equal(t, uint64(0xfffff803f3208804), c.PC)
	assert.EqualValues(t, 0x600003c4, c.PSTATE)
	assert.Equal(t, 1, c.EL())
	assert.Equal(t, &physmem.ARM64System{
		TTBR0: 0x40000040000000, VBAR: 0xfffff803f3002800, TPIDREL1: 0xfffff803efd00000, SPSR: 0x60000144, ELR: 0xfffff803f3208800,
	}, c.System)
	require.NotNil(t, c.Vector)
	assert.Equal(t, [2]uint64{0x23e, 0x23f}, c.Vector.V[31])
	assert.EqualValues(t, 0x10, c.Vector.FPSR)
	assert.EqualValues(t, 1<<22, c.Vector.FPCR)

	for name, change := range map[string]func(b []byte) []byte{
		"nothing":         func([]byte) []byte { return nil },
		"cut in the list": func(b []byte) []byte { return b[:0x23c+47] },
		"no list":         func(b []byte) []byte { binary.BigEndian.PutUint32(b[568:], 0); return b },
		"an endless list": func(b []byte) []byte { binary.BigEndian.PutUint32(b[568:], 1<<31); return b },
		"no TTBR0":        func(b []byte) []byte { b[0x23c+7] = 1; return b },
	} {
		assert.Nil(t, vcpu.Decode(22, change(bytes.Clone(good))), name)
	}
	assert.Nil(t, vcpu.Decode(21, good))
	assert.Nil(t, vcpu.Decode(12, good[:100]))
	for name, b := range map[string][]byte{"without floating point": good[:0x23c+48+65], "cut in it": good[:len(good)-1]} {
		v := vcpu.Decode(22, b)
		require.NotNil(t, v, name)
		x, _ := v.Registers(v).(*physmem.ARM64)
		assert.Nil(t, x.Vector, name)
	}
}

// TestCPUARM64In32: the registers of 32-bit code are r0 to r15.
func TestCPUARM64In32(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	b := armSection()
	for i := range uint32(16) {
		be.PutUint32(b[4*i:], 0x80000000+i)
	}
	be.PutUint32(b[328:], 0x20000030) // T32 code of EL0
	v := vcpu.Decode(22, b)
	require.NotNil(t, v)
	c, ok := v.Registers(v).(*physmem.ARM64)
	require.True(t, ok)
	assert.True(t, c.In32())
	assert.Zero(t, c.EL())
	assert.Equal(t, uint64(0x80000000), c.X[0])
	assert.Equal(t, uint64(0x8000000e), c.X[14])
	assert.EqualValues(t, 0x10f, c.X[15], "no register of 32-bit code in EL0")
	assert.Equal(t, uint64(0x8000000d), c.SP)
	assert.Equal(t, uint64(0x8000000f), c.PC)
	assert.Equal(t, uint64(0x40000040000000), c.System.TTBR0)
}

// TestCPUARM64Control: bits of FPCR and FPSR that FPSCR has not.
func TestCPUARM64Control(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	section := func(version uint32) []byte {
		b := armSection()
		be.PutUint32(b[len(b)-4:], 0)
		b = append(b, "\x05\x11cpu/vfp/fpcr_fpsr"...)
		return be.AppendUint64(be.AppendUint64(be.AppendUint32(b, version), 1<<25|1<<1), 0x80|1<<27)
	}
	for name, tt := range map[string]struct {
		b    []byte
		want [2]uint32
	}{
		"there":           {section(1), [2]uint32{1<<25 | 1<<1, 0x80 | 1<<27}},
		"another version": {section(2), [2]uint32{}},
		"cut":             {section(1)[:len(section(1))-1], [2]uint32{}},
	} {
		v := vcpu.Decode(22, tt.b)
		require.NotNil(t, v, name)
		c, ok := v.Registers(v).(*physmem.ARM64)
		require.True(t, ok)
		require.NotNil(t, c.Vector)
		assert.Equal(t, tt.want, [2]uint32{c.Vector.FPCR, c.Vector.FPSR}, name)
	}
}
