package kdbg

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// extraBase is where tests put objects that guestsim does not build.
const extraBase = 0xffffae8102000000

// eprocessOf are the offsets of the builds that guestsim knows, stated a second
// time (Volatility's profiles; dumps of 26100).
var eprocessOf = map[uint32]struct{ pid, links, parent, name uint64 }{
	9600:  {0x2e0, 0x2e8, 0x3d0, 0x438},
	19041: {0x440, 0x448, 0x540, 0x5a8},
	26100: {0x1d0, 0x1d8, 0x2d0, 0x338},
}

// addProcess puts a process behind the last of the list.
func addProcess(g *guestsim.Guest, n int, pid, parent uint64, name string) uint64 {
	at := extraBase + uint64(n)*0x1000
	o := eprocessOf[g.Options.Build]
	g.Map(at, 0x1000)
	g.Write64(at+0x28, 0x1000*pid)
	g.Write64(at+o.pid, pid)
	g.Write64(at+o.parent, parent)
	g.Write(at+o.name, append([]byte(name), 0))
	last := g.Read64(g.PsActiveProcessHead + 8)
	g.Write64(last, at+o.links)
	g.Write64(at+o.links, g.PsActiveProcessHead)
	g.Write64(at+o.links+8, last)
	g.Write64(g.PsActiveProcessHead+8, at+o.links)
	return at
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	for build := range eprocessOf {
		t.Run(fmt.Sprint(build), func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{Build: build, Encoded: true})
			g.Write64(g.EProcess+0x30, extraBase+0x2f8) // ThreadListHead, behind the root
			at := addProcess(g, 0, 0x1a4, 4, "smss.exe")
			addProcess(g, 1, 0x200, 0x1a4, "fifteen-letters")
			b := guestKernel(t, g)
			list, err := b.Processes()
			require.NoError(t, err)
			require.Len(t, list, 3)
			assert.Equal(t, Process{EPROCESS: vtop.VA(g.EProcess), PID: 4, Name: "System", DirectoryTable: g.DTB}, list[0])
			assert.Equal(t, Process{EPROCESS: vtop.VA(at), PID: 0x1a4, ParentPID: 4, Name: "smss.exe", DirectoryTable: 0x1a4000}, list[1])
			assert.Equal(t, "fifteen-letters", list[2].Name)
		})
	}
}

func TestProcessesOfBrokenLists(t *testing.T) {
	t.Parallel()
	links := eprocessOf[19041].links
	tests := []struct {
		name   string
		change func(g *guestsim.Guest, last uint64)
		is     error
		want   int
	}{
		{"circle", func(g *guestsim.Guest, last uint64) { g.Write64(last+links, last+links) }, ErrCycle, 2},
		{"into user space", func(g *guestsim.Guest, last uint64) { g.Write64(last+links, 0x1000) }, ErrNotKernel, 2},
		{"into nowhere", func(g *guestsim.Guest, last uint64) { g.Write64(last+links, 0xffffae81ff000000) }, vtop.ErrNotMapped, 3},
		{"head not there", func(g *guestsim.Guest, _ uint64) { g.Unmap(g.PsActiveProcessHead) }, vtop.ErrNotMapped, 0},
		{"System is not System", func(g *guestsim.Guest, _ uint64) { g.Write64(g.EProcess+0x440, 5) }, nil, 2},
		{"no thread either", func(g *guestsim.Guest, _ uint64) {
			g.Write64(g.EProcess+0x440, 5)
			g.Write64(g.Processors[0].Thread+g.Field("OffsetKThreadApcProcess"), 0)
		}, ErrNoSystemProcess, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			tt.change(g, addProcess(g, 0, 8, 4, "a.exe"))
			b := &Kernel{Memory: guestMemory(g), Block: &Block{Raw: g.Plain, Data: wire.Decode(g.Plain)}}
			list, err := b.Processes()
			if tt.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tt.is)
			}
			assert.Len(t, list, tt.want)
		})
	}
}

// unloadedRing writes drivers into the ring.
func unloadedRing(g *guestsim.Guest, names ...string) {
	const array = extraBase + 0x100000
	g.Map(array, 0x2000)
	pointer := g.Field("MmUnloadedDrivers")
	g.Map(pointer, 8)
	g.Write64(pointer, array)
	for i, name := range names {
		at := array + uint64(i)*0x28
		text := array + 0x1000 + uint64(i)*0x40
		var b []byte
		for _, u := range utf16.Encode([]rune(name)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		g.Write(text, b)
		g.Write16(at, uint16(len(b)))
		g.Write16(at+2, uint16(len(b)))
		g.Write64(at+8, text)
		g.Write64(at+0x10, 0xfffff80415000000+uint64(i)<<16)
		g.Write64(at+0x18, 0xfffff80415008000+uint64(i)<<16)
		g.Write64(at+0x20, uint64(1000-i))
	}
}

func TestUnloadedDrivers(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	unloadedRing(g, "dump_disk.sys", "a.sys")
	b := guestKernel(t, g)
	list, err := b.UnloadedDrivers()
	require.NoError(t, err)
	assert.Equal(t, []UnloadedDriver{
		{Name: "a.sys", Start: 0xfffff80415010000, End: 0xfffff80415018000, Time: 999},
		{Name: "dump_disk.sys", Start: 0xfffff80415000000, End: 0xfffff80415008000, Time: 1000},
	}, list)

	g.Write64(g.Field("MmUnloadedDrivers"), 0)
	list, err = b.UnloadedDrivers()
	require.NoError(t, err)
	assert.Empty(t, list)

	g.Write64(g.Field("MmUnloadedDrivers"), 0x1000)
	_, err = b.UnloadedDrivers()
	require.ErrorIs(t, err, ErrNotKernel)
	g.Unmap(g.Field("MmUnloadedDrivers"))
	_, err = b.UnloadedDrivers()
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

// TestUnloadedRing: the order is that of the slots, backwards from the next one.
func TestUnloadedRing(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	unloadedRing(g, slices.Repeat([]string{"a.sys"}, MaxUnloaded)...)
	const next = extraBase + 0x104000
	g.Map(next, 4)
	g.SetField("MmLastUnloadedDriver", next)
	g.Write32(next, 2)
	names := func() []vtop.VA {
		list, err := guestKernel(t, g).UnloadedRing()
		require.NoError(t, err)
		var starts []vtop.VA
		for _, d := range list {
			starts = append(starts, (d.Start-0xfffff80415000000)>>16)
		}
		return starts
	}
	slots := names()
	require.Len(t, slots, MaxUnloaded)
	assert.Equal(t, []vtop.VA{1, 0, 49, 48}, slots[:4])
	assert.Equal(t, vtop.VA(2), slots[MaxUnloaded-1])

	g.Write32(next, 3*MaxUnloaded+1) // the kernel counts on, and Windows takes it by the ring's size
	assert.Equal(t, vtop.VA(0), names()[0])
	g.Unmap(next)
	assert.Equal(t, vtop.VA(49), names()[0])
}

// FuzzLists changes a few bytes of a good guest: the lists stay bounded, and
// name no process twice.
func FuzzLists(f *testing.F) {
	f.Add(uint16(0x448), uint64(0), byte(0))
	f.Add(uint16(0), ^uint64(0), byte(1))
	f.Add(uint16(0x10), uint64(0x1000), byte(2))
	f.Fuzz(func(t *testing.T, offset uint16, value uint64, where byte) {
		g := guestsim.New(guestsim.Options{})
		unloadedRing(g, "a.sys")
		last := addProcess(g, 0, 8, 4, "a.exe")
		b := &Kernel{Memory: guestMemory(g), Block: &Block{Raw: g.Plain, Data: wire.Decode(g.Plain)}}
		at := []uint64{g.EProcess, last, g.PsActiveProcessHead, extraBase + 0x100000}[where%4]
		if uint64(offset)+8 > 0xa00 || where%4 == 2 {
			offset = 0
		}
		g.Write64(at+uint64(offset), value)
		list, _ := b.Processes()
		seen := map[vtop.VA]bool{}
		for _, p := range list {
			assert.False(t, seen[p.EPROCESS])
			seen[p.EPROCESS] = true
			assert.LessOrEqual(t, len(p.Name), imageNameSize)
		}
		drivers, _ := b.UnloadedDrivers()
		assert.LessOrEqual(t, len(drivers), MaxUnloaded)
	})
}
