package stack_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/stack"
	"windmp/internal/guestsim"
	"windmp/kdbg/unwind"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
)

const (
	driver = 0xfffff80416000000 // mydrv.sys
	ndis   = 0xfffff80416100000
	stopEx = guestsim.KernBase + 0x5000 // nt!KeBugCheckEx
)

// simCrash is a guest of two processors of which the second raised a bug check, with
// two drivers. Its images have headers and exports, and no unwind data.
type simCrash struct {
	*guestsim.Guest
	p guestsim.Processor // that crashed
}

func newSimCrash(code [5]uint64) *simCrash {
	g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: code, Modules: []guestsim.Module{
		{Base: driver, Size: 0x8000, Name: "mydrv.sys"}, {Base: ndis, Size: 0x9000, Name: "NDIS.SYS"},
	}})
	g.Image(guestsim.KernBase, guestsim.ImageIdentity{
		Size: g.ImageSize, Export: "ntoskrnl.exe", PDB: "ntkrnlmp.pdb", Variables: []guestsim.Variable{{Name: "KeBugCheckEx", RVA: stopEx - guestsim.KernBase}},
	})
	g.Map(driver, 0x1000)
	g.Image(driver, guestsim.ImageIdentity{Size: 0x8000, Export: "mydrv.sys", PDB: "mydrv.pdb"})
	c := &simCrash{Guest: g, p: g.Processors[1]}
	g.Write64(c.p.Context+0xf8, stopEx)
	for i, at := range []uint64{0x80, 0x88, 0xb8, 0xc0} { // rcx rdx r8 r9
		g.Write64(c.p.Context+at, code[i])
	}
	return c
}

// push puts words on the stack of the processor that crashed, from its top on.
func (c *simCrash) push(words ...uint64) {
	for i, v := range words {
		c.Write64(c.p.SavedRsp+8*uint64(i), v)
	}
}

// unload lists a driver as no longer loaded.
func (c *simCrash) unload(name string, start, end uint64) {
	const ring = 0xffffae8105000000
	variable := c.Field("MmUnloadedDrivers")
	c.Map(variable, 8)
	c.Map(ring, 0x1000)
	c.Write64(variable, ring)
	for i, r := range name {
		c.Write16(ring+0x900+2*uint64(i), uint16(r))
	}
	n := uint16(2 * len(name))
	c.Write16(ring, n)
	c.Write16(ring+2, n)
	c.Write64(ring+8, ring+0x900)
	c.Write64(ring+0x10, start)
	c.Write64(ring+0x18, end)
}

// context writes a CONTEXT.
func (c *simCrash) context(at, rip, rsp uint64) {
	c.Write(at, c.Read(c.p.Context, 0x4d0))
	c.Write64(at+0xf8, rip)
	c.Write64(at+0x98, rsp)
}

// trap writes a KTRAP_FRAME.
func (c *simCrash) trap(at, rip, rsp uint64) {
	for off, v := range map[uint64]uint64{0x158: 0, 0x168: rip, 0x170: 0x10, 0x178: 0x10246, 0x180: rsp, 0x188: 0x18} {
		c.Write64(at+off, v)
	}
}

// walker finds the guest.
func (c *simCrash) walker(tb testing.TB) (*stack.Walker, []stack.CPU, int) {
	tb.Helper()
	im, err := physmemtest.Open(c.ELF())
	require.NoError(tb, err)
	g, err := guest.Find(tb.Context(), im, guest.Options{})
	require.NoError(tb, err)
	w, ok := stack.New(g)
	require.True(tb, ok)
	cpus, shown := plan.Stacks(g)
	return w, cpus, shown
}

// TestStarts: where the walk begins, by what the parameters name and what is believed
// of it, and the signature that follows.
func TestStarts(t *testing.T) {
	t.Parallel()
	probe := newSimCrash([5]uint64{0xe2})
	low, sp := probe.p.Stack, probe.p.SavedRsp
	ctx, trap, record := low+0x100, low+0x600, low+0x7a0
	const fault = driver + 0x1234
	for _, tt := range []struct {
		name      string
		code      [5]uint64
		poke      func(c *simCrash)
		source    stack.Source
		parameter int
		pc        uint64 // of the first frame
		signature string
		chosen    stack.Chosen
		victim    bool
	}{
		{
			name: "the CONTEXT of 0x7e", code: [5]uint64{0x7e, 0xffffffffc0000005, fault, record, ctx},
			poke:   func(c *simCrash) { c.context(ctx, fault, sp+0x100) },
			source: stack.FromContext, parameter: 4, pc: fault, signature: "0x7e_c0000005!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a CONTEXT of another instruction", code: [5]uint64{0x7e, 0xffffffffc0000005, fault, record, ctx},
			poke:   func(c *simCrash) { c.context(ctx, fault+1, sp+0x100) },
			source: stack.FromSaved, parameter: 2, pc: stopEx, signature: "0x7e_c0000005!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a CONTEXT with a selector of nobody", code: [5]uint64{0x3b, 0xc0000005, fault, ctx, 0},
			poke: func(c *simCrash) {
				c.context(ctx, fault, sp+0x100)
				c.Write16(ctx+0x38, 0x28)
			},
			source: stack.FromSaved, parameter: 2, pc: stopEx, signature: "0x3b_c0000005!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a CONTEXT that the record agrees with", code: [5]uint64{0x24, 0xb500190637, record, ctx, 0},
			poke: func(c *simCrash) {
				c.context(ctx, fault, sp+0x100)
				c.Write64(record+0x10, fault)
			},
			source: stack.FromContext, parameter: 3, pc: fault, signature: "0x24!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a parameter that is no address", code: [5]uint64{0x27, 0xbaad, 0x11, 0x12345678, 0},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0x27!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "the trap frame in R9 of 0x50", code: [5]uint64{0x50, 0xffffb00012345678, 0, fault, 2},
			poke: func(c *simCrash) {
				c.trap(trap, fault, sp+0x100)
				c.Write64(c.p.Context+0xc0, trap)
			},
			source: stack.FromTrap, parameter: 3, pc: fault, signature: "0x50!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "0x50 in the kernel", code: [5]uint64{0x50, 0xffffb00012345678, 0, guestsim.KernBase + 0x1234, 2},
			poke: func(c *simCrash) {
				c.trap(trap, guestsim.KernBase+0x1234, sp+0x100)
				c.Write64(c.p.Context+0xc0, trap)
				c.Write64(sp+0x100, fault)
			},
			source: stack.FromTrap, parameter: 3, pc: guestsim.KernBase + 0x1234, signature: "0x50!mydrv+0x1234", chosen: stack.ByScan, victim: true,
		},
		{
			name: "a trap frame of 0xbe", code: [5]uint64{0xbe, fault, 0x8a00, trap, 0xa},
			poke:   func(c *simCrash) { c.trap(trap, fault, sp+0x100) },
			source: stack.FromTrap, parameter: 3, pc: fault, signature: "0xbe!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a trap frame without its flags", code: [5]uint64{0xbe, fault, 0x8a00, trap, 0xa},
			poke: func(c *simCrash) {
				c.trap(trap, fault, sp+0x100)
				c.Write64(trap+0x178, 0x10244)
				c.push(guestsim.KernBase + 0x777)
			},
			source: stack.FromSaved, pc: stopEx, signature: "0xbe!nt+0x777", chosen: stack.ByKernel,
		},
		{
			name: "a machine frame on the stack", code: [5]uint64{0xd1, 0x20, 2, 0, fault},
			poke: func(c *simCrash) {
				c.push(guestsim.KernBase+0x777, 0, 0, 0, fault, 0x10, 0x10246, sp+0x100, 0x18)
				c.Write64(c.p.Context+0x80, 0xa)
			},
			source: stack.FromStack, parameter: 4, pc: fault, signature: "0xd1!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a machine frame of a stack that lies below", code: [5]uint64{0xd1, 0x20, 2, 0, fault},
			poke: func(c *simCrash) {
				c.push(guestsim.KernBase+0x777, 0, 0, 0, fault, 0x10, 0x10246, sp-0x100, 0x18)
			},
			source: stack.FromSaved, parameter: 4, pc: stopEx, signature: "0xd1!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "the instruction alone", code: [5]uint64{0xd1, 0x20, 2, 0, fault},
			poke:   func(c *simCrash) { c.push(guestsim.KernBase+0x777, 0, 0, 0, fault, 0, 0x10246, sp+0x100, 0x18) },
			source: stack.FromSaved, parameter: 4, pc: stopEx, signature: "0xd1!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "an instruction in no module", code: [5]uint64{0xd1, 0x20, 2, 0, 0xffffb00000001234},
			poke:   func(c *simCrash) { c.push(guestsim.KernBase+0x777, fault) },
			source: stack.FromSaved, parameter: 4, pc: stopEx, signature: "0xd1!mydrv+0x1234", chosen: stack.ByScan,
		},
		{
			name: "raised by a driver", code: [5]uint64{0xe2, 0, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0xe2!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "raised by a class driver", code: [5]uint64{0x9f, 3, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(ndis+0x20, fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0x9f!ndis+0x20", chosen: stack.ByInstruction,
		},
		{
			name: "a class driver between", code: [5]uint64{0x9f, 3, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(guestsim.KernBase+0x777, ndis+0x20, fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0x9f!mydrv+0x1234", chosen: stack.ByScan,
		},
		{
			name: "a class driver alone", code: [5]uint64{0x9f, 3, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(guestsim.KernBase+0x777, ndis+0x20) },
			source: stack.FromSaved, pc: stopEx, signature: "0x9f!ndis+0x20", chosen: stack.ByScan,
		},
		{
			name: "the kernel alone", code: [5]uint64{0x1a, 0x41792, 0xffff800000000000, 0x400000000000, 0},
			poke:   func(c *simCrash) { c.push(guestsim.KernBase+0x777, guestsim.KernBase+0x888) },
			source: stack.FromSaved, pc: stopEx, signature: "0x1a!nt+0x777", chosen: stack.ByKernel, victim: true,
		},
		{
			name: "a parameter into the driver", code: [5]uint64{0x116, 0xffff900000000000, ndis + 0x30, 0, 4},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0x116!ndis+0x30", chosen: stack.ByParameter,
		},
		{
			name: "a parameter into nothing", code: [5]uint64{0x116, 0xffff900000000000, 0xffff900000000020, 0, 4},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0x116!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "the processor that hangs", code: [5]uint64{0x101, 0x18, 0, probe.Processors[0].PRCB, 0},
			poke:   func(c *simCrash) { c.Write64(c.Processors[0].Context+0xf8, fault) },
			source: stack.FromProcessor, parameter: 3, pc: fault, signature: "0x101!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a PRCB of nobody", code: [5]uint64{0x101, 0x18, 0, probe.Processors[0].PRCB + 8, 0},
			poke: func(c *simCrash) {
				c.Write64(c.Processors[0].Context+0xf8, fault)
				c.push(guestsim.KernBase + 0x777)
			},
			source: stack.FromSaved, pc: stopEx, signature: "0x101!nt+0x777", chosen: stack.ByKernel,
		},
		{
			name: "a thread that another processor runs", code: [5]uint64{0xea, probe.Processors[0].Thread, 0, 0, 0},
			poke:   func(c *simCrash) { c.Write64(c.Processors[0].Context+0xf8, fault) },
			source: stack.FromThread, parameter: 1, pc: fault, signature: "0xea!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "the thread that raised it", code: [5]uint64{0x100000ea, probe.p.Thread, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0xea!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a thread that waits", code: [5]uint64{0xea, record, 0, 0, 0},
			poke: func(c *simCrash) {
				c.Write64(record+c.Field("OffsetKThreadKernelStack"), sp+0x100)
				c.Write64(sp+0x138, guestsim.KernBase+0x999)
				c.Write64(sp+0x140, fault)
			},
			source: stack.FromThread, parameter: 1, pc: guestsim.KernBase + 0x999, signature: "0xea!mydrv+0x1234", chosen: stack.ByScan,
		},
		{
			name: "no thread", code: [5]uint64{0xea, record, 0, 0, 0},
			poke:   func(c *simCrash) { c.push(fault) },
			source: stack.FromSaved, pc: stopEx, signature: "0xea!mydrv+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "a driver that was unloaded", code: [5]uint64{0xce, 0xfffff80417001234, 0, 0xfffff80417001234, 0},
			poke: func(c *simCrash) {
				c.unload("averylongname.sys", 0xfffff80417000000, 0xfffff80417008000)
				c.push(guestsim.KernBase+0x777, fault)
			},
			source: stack.FromSaved, parameter: 3, pc: stopEx, signature: "0xce!<unloaded_averylongnam>+0x1234", chosen: stack.ByInstruction,
		},
		{
			name: "the exception's CONTEXT is the saved one", code: [5]uint64{0x7e, 0xffffffffc0000005, fault, 0, 0},
			poke: func(c *simCrash) {
				c.Write64(c.p.Context+0xf8, fault)
				c.Write64(c.p.Context+0x80, 0)
			},
			source: stack.FromSaved, pc: fault, signature: "0x7e_c0000005!mydrv+0x1234", chosen: stack.ByInstruction,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newSimCrash(tt.code)
			tt.poke(c)
			w, cpus, _ := c.walker(t)
			s, ok := w.Crash(cpus, 1)
			require.True(t, ok)
			assert.Equal(t, tt.source, s.Start.Source)
			assert.Equal(t, tt.parameter, s.Start.Parameter)
			require.NotEmpty(t, s.Frames)
			assert.Equal(t, vtop.VA(tt.pc), s.Frames[0].PC)
			g := w.Sign(s)
			require.NotNil(t, g)
			assert.Equal(t, tt.signature, g.String())
			assert.Equal(t, tt.chosen, g.Chosen)
			alone := tt.chosen == stack.ByScan && strings.Contains(tt.signature, "!ndis+")
			assert.Equal(t, alone, strings.HasPrefix(g.Report().Reason, "nothing but Windows' own was seen"), g.Report().Reason)
			assert.Equal(t, tt.victim, g.MayBeVictim)
			assert.False(t, s.Complete())
			for _, f := range s.All() {
				assert.NotContains(t, []stack.How{stack.How(unwind.Unwind), stack.How(unwind.Leaf), stack.How(unwind.Epilogue)}, f.How,
					"there is no unwind data")
			}
		})
	}
}

// TestSession: modules that only a session's page tables map are read by those of the
// process that the processor was in, if they are this kernel's.
func TestSession(t *testing.T) {
	t.Parallel()
	const base, back = 0xffffb50000000000, 0xffffb50000001234
	for name, poke := range map[string]func(c *simCrash, root *guestsim.Root){
		"of the process": nil,
		"without the kernel": func(c *simCrash, root *guestsim.Root) {
			const slot = guestsim.KernBase >> 39 & 511
			c.WritePhys(root.DTB+8*slot, make([]byte, 8))
		},
		"a process of nobody": func(c *simCrash, _ *guestsim.Root) { c.Write64(c.p.Thread+c.Field("OffsetKThreadApcProcess"), 8) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSimCrash([5]uint64{0xe2, 0, 0, 0, 0})
			m := c.Modules[len(c.Modules)-1]
			c.Write64(m.Entry+0x30, base)
			root := c.NewRoot()
			c.WritePhys(root.DTB+0x800, c.ReadPhys(c.DTB+0x800, 0x800)) // the kernel's half
			root.Within(func() {
				c.Image(base, guestsim.ImageIdentity{Size: 0x9000, Export: "session.sys", PDB: "session.pdb"})
				c.Map(base+0x1000, 0x1000)
				c.Write(back-5, []byte{0xe8, 0x10, 0, 0, 0})
			})
			process := c.p.Stack + 0x20
			c.Write64(process+c.Field("OffsetEprocessDirectoryTableBase"), root.DTB)
			c.Write64(c.p.Thread+c.Field("OffsetKThreadApcProcess"), process)
			if poke != nil {
				poke(c, root)
			}
			c.push(guestsim.KernBase+0x777, back)
			w, cpus, _ := c.walker(t)
			s, ok := w.Crash(cpus, 1)
			require.True(t, ok)
			assert.Equal(t, poke == nil, s.Scanned(), "the call is only seen where the code is")

			c.Write64(c.p.Thread+c.Field("OffsetKThreadStackLimit"), c.p.Stack)
			c.Write64(c.p.Thread+c.Field("OffsetKThreadStackBase"), c.p.Stack+0x1000)
			w, _, _ = c.walker(t)
			s, err := w.At(vtop.VA(c.p.Context))
			require.NoError(t, err)
			assert.Equal(t, -1, s.Processor)
			assert.Equal(t, poke == nil, s.Scanned(), "the stack tells the thread")
		})
	}
}
