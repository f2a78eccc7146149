package wincontext

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/problem"
)

// goodContextARM64 is as build 22000 saved one.
func goodContextARM64() *ContextARM64 {
	return &ContextARM64{
		ContextFlags: 0x400007, Cpsr: 0x80000144,
		Fp: 0xffffe00e0e4bc4a0, Sp: 0xffffe00e0e4bc4a0, Pc: 0xfffff803f32de014,
	}
}

// TestContextARM64Layout: the offsets that the dump has, as numbers.
func TestContextARM64Layout(t *testing.T) {
	t.Parallel()
	b := make([]byte, 0x390)
	for i := range len(b) / 4 {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(4*i))
	}
	c, err := DecodeContextARM64(b)
	require.NoError(t, err)
	at := func(off uint64) uint64 { return (off+4)<<32 | off }
	assert.EqualValues(t, 4, c.Cpsr)
	assert.Equal(t, at(8), c.X[0])
	assert.Equal(t, at(0x98), c.X[18])
	assert.Equal(t, at(0xe8), c.X[28])
	assert.Equal(t, at(0xf0), c.Fp)
	assert.Equal(t, at(0xf8), c.Lr)
	assert.Equal(t, at(0x100), c.SP())
	assert.Equal(t, at(0x108), c.IP())
	assert.Equal(t, M128A{Low: at(0x110), High: at(0x118)}, c.V[0])
	assert.Equal(t, at(0x308), c.V[31].High)
	assert.EqualValues(t, 0x310, c.Fpcr)
	assert.EqualValues(t, 0x314, c.Fpsr)
	assert.EqualValues(t, 0x318, c.Bcr[0])
	assert.Equal(t, at(0x338), c.Bvr[0])
	assert.EqualValues(t, 0x378, c.Wcr[0])
	assert.Equal(t, at(0x388), c.Wvr[1])
	assert.Equal(t, b, c.Encode())
	assert.Equal(t, []uint64{at(8), at(0x10), at(0x18), at(0x20), at(0x28), at(0x30), at(0x38), at(0x40)}, c.Arguments())
	_, err = DecodeContextARM64(b[1:])
	require.EqualError(t, err, "Arm64 context: got 0x38f bytes, want 0x390")
}

func TestContextARM64Plausible(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		spoil             func(c *ContextARM64)
		wrong, wrongSaved string
	}{
		{"as saved", func(*ContextARM64) {}, "", ""},
		{"EL1h", func(c *ContextARM64) { c.Cpsr |= 1 }, "", ""},
		{"user", func(c *ContextARM64) { c.Cpsr, c.Pc, c.Sp = 0x20000000, 0x7ff612340120, 0xd4f2f0ee40 }, "", ""},
		{"zeros", func(c *ContextARM64) { *c = ContextARM64{} }, "ContextFlags", "ContextFlags"},
		{"fill", func(c *ContextARM64) { c.ContextFlags = FlagsARM64(problem.Fill) }, "ContextFlags", "ContextFlags"},
		{"x64's flags", func(c *ContextARM64) { c.ContextFlags = 0x10001f }, "ContextFlags", "ContextFlags"},
		{"EL2", func(c *ContextARM64) { c.Cpsr = 9 }, "Cpsr", "Cpsr"},
		{"no mode", func(c *ContextARM64) { c.Cpsr = 2 }, "Cpsr", "Cpsr"},
		{"32-bit", func(c *ContextARM64) { c.Cpsr, c.Pc, c.Sp = 0x30, 0x401002, 0x40fff0 }, "Cpsr", ""},
		{"half an instruction", func(c *ContextARM64) { c.Pc += 2 }, "Pc", "Pc"},
		{"no address", func(c *ContextARM64) { c.Pc = 0x8000_0000_0000 }, "Pc", "Pc"},
		{"no stack", func(c *ContextARM64) { c.Sp = 0xffff7fff_ffffffff }, "Sp", "Sp"},
		{"kernel at a process' address", func(c *ContextARM64) { c.Pc = 0x1000 }, "", "Pc"},
		{"kernel on a process' stack", func(c *ContextARM64) { c.Sp = 0x1000 }, "", "Sp"},
	} {
		c := goodContextARM64()
		tt.spoil(c)
		for want, err := range map[*string]error{&tt.wrong: c.Plausible(), &tt.wrongSaved: c.PlausibleSaved()} {
			var p problem.Problem
			if *want == "" {
				require.NoError(t, err, tt.name)
				continue
			}
			require.ErrorAs(t, err, &p, tt.name)
			assert.Equal(t, *want, p.Field, tt.name)
		}
	}
}

func TestContextARM64(t *testing.T) {
	t.Parallel()
	c := goodContextARM64()
	assert.Equal(t, "kernel", c.Mode())
	assert.Equal(t, "user (EL0)", (&ContextARM64{ContextFlags: ContextFullARM64}).Mode())
	assert.Equal(t, "user (32-bit code)", (&ContextARM64{ContextFlags: ContextFullARM64, Cpsr: 0x10}).Mode())
	assert.Empty(t, new(ContextARM64).Mode())
	require.NoError(t, c.CheckForReaders())
	assert.Equal(t, "ARM64|CONTROL|INTEGER|FLOATING_POINT", c.ContextFlags.String())
	assert.Equal(t, "ARM64|DEBUG_REGISTERS|0x10000", (ContextDebugRegistersARM64 | 0x10000).String())
	assert.Equal(t, "0x0", FlagsARM64(0).String())

	o, ok := c.ForHeader().(*ContextARM64)
	require.True(t, ok)
	assert.Equal(t, c, o)
	assert.NotSame(t, c, o)
	o.Bvr[0], o.V[3].Low, o.ContextFlags = 1, 1, 0
	assert.True(t, c.Same(o, 0))
	assert.False(t, c.Same(o, DebugRegisters))
	assert.False(t, c.Same(o, FloatRegisters))
	o.X[18] = 1
	assert.False(t, c.Same(o, 0))
	assert.False(t, c.Same(new(Context64), 0))
}
