package wincontext

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContextAnswers(t *testing.T) {
	t.Parallel()
	kernel, user := kernelContext(), userContext()
	kernel.Rcx, kernel.Rdx, kernel.R8, kernel.R9 = 1, 2, 3, 4
	wow := user
	wow.SegCs = 0x23
	kernel32 := kernelContext32()
	user32, v86 := *kernel32, *kernel32
	user32.SegCs, v86.SegCs = 0x1b, 0x1234f001
	for _, tt := range []struct {
		c         Context
		machine   uint32
		mode      string
		arguments []uint64
		notOwn    string
	}{
		{&kernel, MachineAMD64, "kernel", []uint64{1, 2, 3, 4}, ""},
		{&user, MachineAMD64, "user (ring 3)", []uint64{0, 0, 0, 0}, ""},
		{&wow, MachineAMD64, "user (ring 3)", []uint64{0, 0, 0, 0}, "SegCs at 0x38: got 0x23, want 0x10 or 0x33"},
		{kernel32, MachineI386, "kernel", nil, ""},
		{&user32, MachineI386, "user (ring 3)", nil, ""},
		{&v86, MachineI386, "user (ring 1)", nil, ""},
	} {
		assert.Equal(t, tt.machine, tt.c.Machine())
		assert.Equal(t, tt.mode, tt.c.Mode())
		assert.Equal(t, tt.arguments, tt.c.Arguments())
		check(t, tt.notOwn, tt.c.CheckMode())
	}
	assert.Empty(t, new(Context64).Mode())
	assert.Empty(t, (&Context32{SegCs: 0x10000}).Mode())
}

func TestForHeader(t *testing.T) {
	t.Parallel()
	c := kernelContext()
	require.NoError(t, c.CheckForReaders())
	c.MxCsr, c.FltSave.MxCsr = 0x1f80, 0x1fa0
	var differ *MxCsrError
	require.ErrorAs(t, c.CheckForReaders(), &differ)
	require.EqualError(t, differ, "two MxCsr, 0x1f80 and 0x1fa0: kdmp-parser refuses the dump")
	fit := c.ForHeader()
	require.NoError(t, fit.CheckForReaders())
	assert.EqualValues(t, 0x1fa0, c.FltSave.MxCsr, "a copy")
	want := c
	want.FltSave.MxCsr = 0x1f80
	assert.Equal(t, &want, fit)

	narrow := kernelContext32()
	require.NoError(t, narrow.CheckForReaders())
	assert.Equal(t, narrow, narrow.ForHeader())
	assert.NotSame(t, narrow, narrow.ForHeader())
}

func TestSame(t *testing.T) {
	t.Parallel()
	const none, all = RegisterSet(0), DebugRegisters | FloatRegisters
	wide := func(change func(c *Context64)) Context {
		c := kernelContext()
		change(&c)
		return &c
	}
	narrow := func(change func(c *Context32)) Context {
		c := kernelContext32()
		change(c)
		return c
	}
	for name, tt := range map[string]struct {
		other Context
		// with which sets they are the same
		none, debug, float, all bool
	}{
		"equal":  {wide(func(*Context64) {}), true, true, true, true},
		"Rip":    {wide(func(c *Context64) { c.Rip++ }), false, false, false, false},
		"SegGs":  {wide(func(c *Context64) { c.SegGs++ }), false, false, false, false},
		"EFlags": {wide(func(c *Context64) { c.EFlags++ }), false, false, false, false},
		"Dr7":    {wide(func(c *Context64) { c.Dr7++ }), true, false, true, false},
		"MxCsr":  {wide(func(c *Context64) { c.MxCsr++ }), true, true, false, false},
		"Xmm15":  {wide(func(c *Context64) { c.FltSave.XmmRegisters[15].High++ }), true, true, false, false},
		"what no source carries": {wide(func(c *Context64) {
			c.P1Home, c.ContextFlags, c.VectorControl, c.LastBranchToRip, c.VectorRegister[0].Low = 1, 1, 1, 1, 1
		}), true, true, true, true},
		"another machine": {kernelContext32(), false, false, false, false},
	} {
		c := kernelContext()
		assert.Equal(t, tt.none, c.Same(tt.other, none), name)
		assert.Equal(t, tt.debug, c.Same(tt.other, DebugRegisters), name)
		assert.Equal(t, tt.float, c.Same(tt.other, FloatRegisters), name)
		assert.Equal(t, tt.all, c.Same(tt.other, all), name)
	}
	for name, tt := range map[string]struct {
		other                   Context
		none, debug, float, all bool
	}{
		"equal":             {narrow(func(*Context32) {}), true, true, true, true},
		"Eip":               {narrow(func(c *Context32) { c.Eip++ }), false, false, false, false},
		"SegFs":             {narrow(func(c *Context32) { c.SegFs++ }), false, false, false, false},
		"Dr0":               {narrow(func(c *Context32) { c.Dr0++ }), true, false, true, false},
		"ExtendedRegisters": {narrow(func(c *Context32) { c.ExtendedRegisters[511]++ }), true, true, false, false},
		"FloatSave, flags":  {narrow(func(c *Context32) { c.FloatSave.TagWord++; c.ContextFlags++ }), true, true, true, true},
		"another machine":   {wide(func(*Context64) {}), false, false, false, false},
	} {
		c := kernelContext32()
		assert.Equal(t, tt.none, c.Same(tt.other, none), name)
		assert.Equal(t, tt.debug, c.Same(tt.other, DebugRegisters), name)
		assert.Equal(t, tt.float, c.Same(tt.other, FloatRegisters), name)
		assert.Equal(t, tt.all, c.Same(tt.other, all), name)
	}
}
