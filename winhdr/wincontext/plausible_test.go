package wincontext

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/problem"
)

func kernelContext() Context64 {
	return Context64{
		ContextFlags: ContextQEMU,
		SegCs:        0x10,
		SegSs:        0x18,
		EFlags:       0x40286,
		Rip:          0xfffff8000a3fd0a0,
		Rsp:          0xffffb50f1c2f6a58,
	}
}

func userContext() Context64 {
	c := kernelContext()
	c.SegCs, c.SegSs = 0x33, 0x2b
	c.Rip, c.Rsp = 0x00007ffb12345678, 0x000000c0ffee0f08
	return c
}

func TestPlausible(t *testing.T) {
	t.Parallel()
	set := func(c Context64, f func(*Context64)) Context64 {
		f(&c)
		return c
	}
	tests := []struct {
		name    string
		context Context64
		any     string // what Plausible says
		saved   string // what PlausibleSaved says, if something else; "fine" for nothing
	}{
		{"kernel", kernelContext(), "", ""},
		{"null SS after an interrupt", set(kernelContext(), func(c *Context64) { c.SegSs = 0 }), "", ""},
		{"least flags", set(kernelContext(), func(c *Context64) { c.ContextFlags = 0x100003 }), "", ""},
		{"exception flags", set(kernelContext(), func(c *Context64) { c.ContextFlags |= 0xf80000c0 }), "", ""},
		{"57-bit addresses", set(kernelContext(), func(c *Context64) { c.Rip, c.Rsp = 0xff00000000000000, 0xff00000000000008 }), "", ""},
		{"user", userContext(), "", ""},
		{"jump to null", set(userContext(), func(c *Context64) { c.Rip = 0 }), "", ""},
		{
			"kernel at a user address", set(kernelContext(), func(c *Context64) { c.Rip = 0x1000 }),
			"", "Rip at 0xf8: got 0x1000, want a kernel address",
		},
		{
			"kernel on a user stack", set(kernelContext(), func(c *Context64) { c.Rsp = 0x1000 }),
			"", "",
		},
		{
			"zero",
			Context64{},
			"ContextFlags at 0x30: got 0x0 (0x0), want at least AMD64|CONTROL|INTEGER, and no other architecture", "",
		},
		{
			"filled", set(Context64{}, func(c *Context64) { c.ContextFlags = ContextFlags(problem.Fill) }),
			"ContextFlags at 0x30: got 0x45474150 ('PAGE' fill, never set), want at least AMD64|CONTROL|INTEGER, and no other architecture", "",
		},
		{
			"no integer registers", set(kernelContext(), func(c *Context64) { c.ContextFlags = ContextControl }),
			"ContextFlags at 0x30: got 0x100001 (AMD64|CONTROL), want at least AMD64|CONTROL|INTEGER, and no other architecture", "",
		},
		{
			"i386 as well", set(kernelContext(), func(c *Context64) { c.ContextFlags |= 0x10000 }),
			"ContextFlags at 0x30: got 0x11001f (AMD64|CONTROL|INTEGER|SEGMENTS|FLOATING_POINT|DEBUG_REGISTERS|0x10000), " +
				"want at least AMD64|CONTROL|INTEGER, and no other architecture", "",
		},
		{
			"32-bit code", set(userContext(), func(c *Context64) { c.SegCs = 0x23 }),
			"SegCs at 0x38: got 0x23, want 0x10 or 0x33", "fine",
		},
		{
			"kernel code, user stack segment", set(kernelContext(), func(c *Context64) { c.SegSs = 0x2b }),
			"SegSs at 0x42: got 0x2b, want 0x0 or 0x18, as SegCs is 0x10", "",
		},
		{
			"user code, null stack segment", set(userContext(), func(c *Context64) { c.SegSs = 0 }),
			"SegSs at 0x42: got 0x0, want 0x2b, as SegCs is of user mode", "",
		},
		{
			"flags bit 1", set(kernelContext(), func(c *Context64) { c.EFlags = 0x200 }),
			"EFlags at 0x44: got 0x200, want 0x2 set and 0xffc28028 clear", "",
		},
		{
			"reserved flag", set(kernelContext(), func(c *Context64) { c.EFlags |= 1 << 5 }),
			"EFlags at 0x44: got 0x402a6, want 0x2 set and 0xffc28028 clear", "",
		},
		{
			"virtual 8086", set(kernelContext(), func(c *Context64) { c.EFlags |= 1 << 17 }),
			"EFlags at 0x44: got 0x60286, want 0x2 set and 0xffc28028 clear", "",
		},
		{
			"Rip", set(kernelContext(), func(c *Context64) { c.Rip = 0x0100000000000000 }),
			"Rip at 0xf8: got 0x100000000000000, want a canonical address", "",
		},
		{
			"Rsp", set(kernelContext(), func(c *Context64) { c.Rsp = 0xfeffffffffffffff }),
			"Rsp at 0x98: got 0xfeffffffffffffff, want a canonical address", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.any, tt.context.Plausible())
			switch tt.saved {
			case "":
				tt.saved = tt.any
			case "fine":
				tt.saved = ""
			}
			check(t, tt.saved, tt.context.PlausibleSaved())
		})
	}
}

func check(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var p problem.Problem
	require.ErrorAs(t, err, &p)
	require.EqualError(t, p, want)
	assert.False(t, p.Repairable)
}
