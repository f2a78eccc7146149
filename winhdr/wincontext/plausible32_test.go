package wincontext

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/problem"
)

func kernelContext32() *Context32 {
	return &Context32{
		ContextFlags: ContextQEMU32, SegCs: 0x8, SegSs: 0x10, SegDs: 0x23, SegEs: 0x23, SegFs: 0x30,
		EFlags: 0x246, Eip: 0x82a41234, Esp: 0x8078ade0,
	}
}

func TestPlausible32(t *testing.T) {
	t.Parallel()
	kernel := kernelContext32()
	require.NoError(t, kernel.PlausibleSaved())
	user := *kernel
	user.SegCs, user.SegSs, user.Eip, user.Esp = 0x1b, 0x23, 0x401000, 0x12f000
	require.NoError(t, user.Plausible())
	require.NoError(t, user.PlausibleSaved())
	virtual, segment := user, user
	virtual.EFlags, virtual.SegCs, virtual.SegSs = 0x20246, 0xf000, 0x1234
	segment.SegCs, segment.SegSs = 0x17f, 0x187
	for _, c := range []Context32{virtual, segment} { // 16-bit code of a process
		require.Error(t, c.Plausible())
		require.NoError(t, c.PlausibleSaved())
	}
	for field, change := range map[string]func(c *Context32){
		"ContextFlags": func(c *Context32) { c.ContextFlags = 0x10001f | 0x10000 },
		"SegCs":        func(c *Context32) { c.SegCs = 0x10 },
		"SegSs":        func(c *Context32) { c.SegSs = 0x23 },
		"EFlags":       func(c *Context32) { c.EFlags |= 1 << 15 },
		"Eip":          func(c *Context32) { c.Eip = 0x401000 },
		"Esp":          func(c *Context32) { c.Esp = 0x12f000 },
	} {
		c := *kernel
		change(&c)
		var p problem.Problem
		require.ErrorAs(t, c.PlausibleSaved(), &p)
		assert.Equal(t, field, p.Field)
	}
	zero := Context32{}
	require.Error(t, zero.Plausible())
}

func TestContextFlags32(t *testing.T) {
	t.Parallel()
	for f, want := range map[ContextFlags32]string{
		ContextQEMU32:                        "I386|CONTROL|INTEGER|SEGMENTS|DEBUG_REGISTERS",
		ContextExtendedRegisters32:           "I386|EXTENDED_REGISTERS",
		0x100000 | ContextInteger32:          "I386|INTEGER|0x100000",
		ContextFloatingPoint32 &^ 8:          "I386",
		0:                                    "0x0",
		ContextFlags32(problem.Fill) &^ 0x3f: "I386|0x45464140",
	} {
		assert.Equal(t, want, f.String())
	}
	assert.Equal(t, "0x10017", problem.Hex(ContextQEMU32), "seen in QEMU 7.2's dumps")
	assert.EqualValues(t, 0xb8, unsafe.Offsetof(Context32{}.Eip))
}
