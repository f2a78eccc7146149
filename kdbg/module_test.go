package kdbg

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestModules(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Modules: []guestsim.Module{
		{Base: 0xfffff80416000000, Size: 0x5000, Name: "ünicode 😀.sys", FullName: "C:\\x\n\x1b[31m.sys"},
		{Base: 0xfffff80416010000, Size: 0x5000},
	}})
	list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
	require.NoError(t, err)
	require.Len(t, list, len(g.Modules))
	for i, m := range g.Modules {
		assert.Equal(t, Module{
			Entry: vtop.VA(m.Entry), Base: vtop.VA(m.Base), EntryPoint: vtop.VA(m.EntryPoint),
			Size: m.Size, Name: m.Name, FullName: m.FullName,
		}, list[i])
	}
	assert.Equal(t, "ntoskrnl.exe", list[0].Name)
}

// TestModulesBroken breaks the list at its second entry: the first is returned
// with the error.
func TestModulesBroken(t *testing.T) {
	t.Parallel()
	flink := func(v func(g *guestsim.Guest) uint64) func(*guestsim.Guest) {
		return func(g *guestsim.Guest) { g.Write64(g.Modules[0].Entry, v(g)) }
	}
	tests := []struct {
		name   string
		change func(*guestsim.Guest)
		is     error
		n      int
	}{
		{"to itself", flink(func(g *guestsim.Guest) uint64 { return g.Modules[0].Entry }), ErrCycle, 1},
		{"null", flink(func(*guestsim.Guest) uint64 { return 0 }), ErrNotKernel, 1},
		{"user space", flink(func(*guestsim.Guest) uint64 { return 0x7ff000000000 }), ErrNotKernel, 1},
		{"unmapped", flink(func(*guestsim.Guest) uint64 { return 0xfffffffffffffff8 }), vtop.ErrNotMapped, 1},
		{"circle without the head", func(g *guestsim.Guest) {
			g.Write64(g.Modules[2].Entry, g.Modules[1].Entry)
		}, ErrCycle, 3},
		{"head unmapped", func(g *guestsim.Guest) { g.Unmap(g.PsLoadedModuleList) }, vtop.ErrNotMapped, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			tt.change(g)
			list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
			require.Len(t, list, tt.n)
			if tt.name == "unmapped" {
				require.ErrorAs(t, err, new(*vtop.FaultError))
				return
			}
			require.ErrorIs(t, err, tt.is)
		})
	}
}

func TestModulesEmpty(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Write64(g.PsLoadedModuleList, g.PsLoadedModuleList)
	list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
	require.NoError(t, err)
	assert.Empty(t, list)
}

// TestModulesTooMany walks a list of entries that overlap, eight bytes apart:
// more than any guest has, none seen twice.
func TestModulesTooMany(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{RAM: []guestsim.Range{{Start: 0, Size: 0x80000}}})
	const first = 0xffffb00000000000
	g.Map(first, 8*(MaxModules+64))
	for i := range uint64(MaxModules + 2) {
		g.Write64(first+8*i, first+8*(i+1))
	}
	g.Write64(g.PsLoadedModuleList, first)
	list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
	require.ErrorIs(t, err, ErrTooMany)
	assert.Len(t, list, MaxModules)
}

// TestModuleNames forges the UNICODE_STRING of the second module: it costs the
// name, not the module or the list.
func TestModuleNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		length, maximum uint16
		buffer          uint64 // 0 leaves it
		want            string
		is              error
	}{
		{"cut", 6, 16, 0, "hal", nil},
		{"empty", 0, 0, 1, "", nil},
		{"odd length", 13, 16, 0, "", ErrBadString},
		{"longer than its maximum", 14, 12, 0, "", ErrBadString},
		{"longer than the cap", MaxNameBytes + 2, MaxNameBytes + 2, 0, "", ErrBadString},
		{"the most", 0xfffe, 0xffff, 0, "", ErrBadString},
		{"buffer null", 14, 16, 8, "", vtop.ErrNotMapped},
		{"buffer to nowhere", 14, 16, 0xffffffff00000000, "", vtop.ErrNotMapped},
		{"buffer not canonical", 14, 16, 0x4000000000000000, "", vtop.ErrNotMapped},
		{"buffer at the top", 14, 16, ^uint64(3), "", vtop.ErrNotMapped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			at := g.Modules[1].Entry + 0x58
			g.Write16(at, tt.length)
			g.Write16(at+2, tt.maximum)
			if tt.buffer != 0 {
				g.Write64(at+8, tt.buffer)
			}
			list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
			require.NoError(t, err)
			require.Len(t, list, 3)
			assert.Equal(t, tt.want, list[1].Name)
			assert.Equal(t, g.Modules[1].FullName, list[1].FullName)
			require.ErrorIs(t, list[1].NameErr, tt.is)
		})
	}
}

func TestModuleFullNameUnreadable(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Write64(g.Modules[1].Entry+0x50, 0xffffffff00000000)
	list, err := guestMemory(g).ModulesAt(vtop.VA(g.PsLoadedModuleList))
	require.NoError(t, err)
	assert.Equal(t, "hal.dll", list[1].Name)
	require.ErrorIs(t, list[1].NameErr, vtop.ErrNotMapped)
	require.ErrorContains(t, list[1].NameErr, "FullDllName")
}

func TestInvalidUTF16(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a\ufffdb", decodeUTF16([]byte{'a', 0, 0, 0xd8, 'b', 0}))
	assert.Equal(t, strings.Repeat("\ufffd", 2), decodeUTF16([]byte{0, 0xdc, 0xff, 0xdf}))
}

func BenchmarkModules(b *testing.B) {
	g := guestsim.New(guestsim.Options{})
	m := guestMemory(g)
	for b.Loop() {
		if _, err := m.ModulesAt(vtop.VA(g.PsLoadedModuleList)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestModuleAt: an address is in the first image that holds it, and the last byte of an
// image is the last that does.
func TestModuleAt(t *testing.T) {
	t.Parallel()
	list := []Module{
		{Base: 0x80400000, Size: 0x1000},
		{Base: 0xf8000000, Size: 0x2000},
		{Base: 0xf8001000, Size: 0x4000},
		{Base: 0xffffffff_ffff_f000, Size: 0x2000},
		{Base: 0x90000000},
	}
	for va, want := range map[vtop.VA]int{
		0x80400000: 0, 0x80400fff: 0, 0x80401000: -1, 0x803fffff: -1, 0xf8001000: 1, 0xf8002000: 2, 0xf8004fff: 2, 0xf8005000: -1,
		0xffffffff_ffff_ffff: 3, 0: -1, 0x90000000: -1,
	} {
		assert.Equal(t, want, ModuleAt(list, va), "%v", va)
	}
	assert.Equal(t, -1, ModuleAt(nil, 0))
}
