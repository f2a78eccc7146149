package kdbg

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

// guestMemory is a guest's kernel memory.
func guestMemory(g *guestsim.Guest) Memory {
	mode := vtop.X64
	if g.Options.LA57 {
		mode = vtop.LA57
	}
	return X64.In(vtop.NewSpace(g.Memory(), g.DTB, mode))
}

// expectOf is what a dump header says of the guest.
func expectOf(g *guestsim.Guest) Expect {
	return Expect{PsLoadedModuleList: vtop.VA(g.PsLoadedModuleList), PsActiveProcessHead: vtop.VA(g.PsActiveProcessHead)}
}

// guestKernel reads a guest's block, plain or encoded.
func guestKernel(t *testing.T, g *guestsim.Guest) *Kernel {
	t.Helper()
	read := Memory.Read
	if g.Options.Encoded {
		read = Memory.Decode
	}
	b, err := read(guestMemory(g), vtop.VA(g.KDBG), expectOf(g))
	require.NoError(t, err)
	return b
}

// flat is a space of one table and as many pages as block needs, mapped from
// flatVA on: for tests that build a great many blocks.
func flat(block []byte, offset uint64) Memory {
	const root, pages = 0x1000, 3
	mem := make(guestsim.FlatMemory, 0x8000)
	for level, table := range []int{root, 0x2000, 0x3000} {
		binary.LittleEndian.PutUint64(mem[table+int(uint64(flatVA)>>(39-9*level)&511)*8:], uint64(table+0x1000)|3)
	}
	for i := range pages {
		binary.LittleEndian.PutUint64(mem[0x4000+8*i:], uint64(0x5000+0x1000*i)|3)
	}
	copy(mem[0x5000+offset:], block)
	return X64.In(vtop.NewSpace(mem, root, vtop.X64))
}

const flatVA = 0xffff880000000000
