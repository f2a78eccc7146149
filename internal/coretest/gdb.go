package coretest

import (
	"testing"

	"windmp/physmem"
)

// GDBScript returns the core that QEMU's gdb script makes from the core file of
// a QEMU process (scripts/dump-guest-memory.py since QEMU 2.6): no processors,
// p_vaddr as p_paddr, notes padded to 4, the guest's note if it left one, and a
// note NONE with the text EMPTY.
func GDBScript(tb testing.TB, m *physmem.Image, guest []byte) []byte {
	tb.Helper()
	var notes []byte
	if guest != nil {
		notes = gdbNote("VMCOREINFO", guest)
	}
	notes = append(notes, gdbNote("NONE", []byte("EMPTY"))...)
	c := core(tb, m, notes)
	for i := range c.Loads {
		c.Loads[i].VA = c.Loads[i].PA
	}
	return build(tb, c)
}

// GDBScriptOld is GDBScript as of QEMU 1.5 to 2.5: p_vaddr 0, and never the
// guest's note.
func GDBScriptOld(tb testing.TB, m *physmem.Image) []byte {
	tb.Helper()
	return build(tb, core(tb, m, gdbNote("NONE", []byte("EMPTY"))))
}

func gdbNote(name string, desc []byte) []byte {
	b := le.AppendUint32(nil, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, 0)
	for _, part := range [][]byte{append([]byte(name), 0), desc} {
		b = append(b, part...)
		b = append(b, make([]byte, -len(part)&3)...)
	}
	return b
}
