package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

// process32 writes an EPROCESS whose fields lie as in x86 Windows 7, or as in
// Windows 8.
func (k *kernel32) process32(at, next, pid, parent, dtb uint32, name string, peb, image uint32) {
	k.Put32(at+0x18, dtb)
	k.Put32(at+0xb4, pid, next)
	k.Put32(at+0x140, parent)
	copy(k.At(at+image), name+"\x00")
	k.Put32(at+peb, 0x7ffd0000+pid<<4)
}

func TestProcesses32(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct{ peb, image uint32 }{"7": {0x1a8, 0x16c}, "8": {0x140, 0x170}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel32()
			const head, system, other = guestsim.NT32 + 0x146df8, guestsim.NT32 + 0x1b0000, guestsim.NT32 + 0x1b1000
			k.Put32(head, system+0xb8)
			k.process32(system, other+0xb8, 4, 0, 0x185000, "System", o.peb, o.image)
			k.process32(other, head, 0x1f4, 4, 0x7e5000, "smss.exe", o.peb, o.image)
			if name == "8" { // InheritedFromUniqueProcessId lies elsewhere there
				k.Put32(system+o.peb, 0)
			}
			k.Put16(guestsim.KDBG32+0x2aa, uint16(o.peb))
			k.Put16(guestsim.KDBG32+0x2ac, 0x138)
			k.Put32(system+0x138, 0)
			k.Put32(other+0x138, 4)
			k.Put16(guestsim.KDBG32+0x2ae, 0x18)
			b, err := k.memory().ReadUnverified(guestsim.KDBG32)
			require.NoError(t, err)
			list, err := b.Processes()
			require.NoError(t, err)
			require.Len(t, list, 2)
			assert.Equal(t, vtop.VA(system), list[0].EPROCESS)
			assert.Equal(t, "System", list[0].Name)
			assert.EqualValues(t, 4, list[0].PID)
			assert.Equal(t, Process{
				EPROCESS: other, PID: 0x1f4, ParentPID: 4, Name: "smss.exe", DirectoryTable: 0x7e5000, Peb: list[1].Peb,
			}, list[1])
		})
	}
}

func TestCurrentProcess32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	k.Put16(guestsim.KDBG32+0x2b4, 4)
	k.Put16(guestsim.KDBG32+0x2ae, 0x18)
	k.Put16(guestsim.KDBG32+0x2a0, 0x50) // OffsetKThreadApcProcess
	b, err := k.memory().ReadUnverified(guestsim.KDBG32)
	require.NoError(t, err)
	require.EqualValues(t, 0x50, b.Data.OffsetKThreadApcProcess)
	const thread, process = guestsim.NT32 + 0x1c0000, guestsim.NT32 + 0x1b0000
	k.Put32(guestsim.PRCB32+4, thread)
	k.Put32(thread+0x50, process)
	k.Put32(process+0x18, 0x185000)
	current, err := b.CurrentProcess(guestsim.PRCB32)
	require.NoError(t, err)
	assert.Equal(t, Current{Thread: thread, Process: process, DirectoryTable: 0x185000}, current)
}

func TestUnloadedDrivers32(t *testing.T) {
	t.Parallel()
	k := newKernel32()
	const variable, array, text = guestsim.NT32 + 0x1d0000, guestsim.NT32 + 0x1d1000, guestsim.NT32 + 0x1d2000
	k.Put64(guestsim.KDBG32+0x220, variable)
	k.Put32(variable, array)
	for i, c := range "old.sys" {
		k.Put16(text+2*uint32(i), uint16(c))
	}
	k.Put32(array, 14<<16|14, text, 0x90000000, 0x90004000, 5, 0)
	k.Put32(array+0x18, 0, 0, 0x91000000, 0x91004000, 3, 0)
	b, err := k.memory().ReadUnverified(guestsim.KDBG32)
	require.NoError(t, err)
	list, err := b.UnloadedDrivers()
	require.NoError(t, err)
	assert.Equal(t, []UnloadedDriver{
		{Start: 0x91000000, End: 0x91004000, Time: 3},
		{Name: "old.sys", Start: 0x90000000, End: 0x90004000, Time: 5},
	}, list)
}
