package kdbg

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

// spaceOf is a guest's address space.
func spaceOf(g *guestsim.Guest) *vtop.Space {
	levels := 4
	if g.Options.LA57 {
		levels = 5
	}
	return vtop.NewSpace(g.Memory(), g.DTB, vtop.ModeOf(levels))
}

// expectOf is what a dump header says of the guest.
func expectOf(g *guestsim.Guest) Expect {
	return Expect{PsLoadedModuleList: vtop.VA(g.PsLoadedModuleList), PsActiveProcessHead: vtop.VA(g.PsActiveProcessHead)}
}

// blockOf reads a guest's block, plain or encoded.
func blockOf(t *testing.T, g *guestsim.Guest) (*vtop.Space, *Block) {
	t.Helper()
	s := spaceOf(g)
	read := Read
	if g.Options.Encoded {
		read = Decode
	}
	b, err := read(s, vtop.VA(g.KDBG), expectOf(g))
	require.NoError(t, err)
	return s, b
}

// flat is a space of one table and as many pages as block needs, mapped from
// flatVA on: for tests that build a great many blocks.
func flat(block []byte, offset uint64) *vtop.Space {
	const root, pages = 0x1000, 3
	mem := make(memory, 0x8000)
	for level, table := range []int{root, 0x2000, 0x3000} {
		binary.LittleEndian.PutUint64(mem[table+int(uint64(flatVA)>>(39-9*level)&511)*8:], uint64(table+0x1000)|3)
	}
	for i := range pages {
		binary.LittleEndian.PutUint64(mem[0x4000+8*i:], uint64(0x5000+0x1000*i)|3)
	}
	copy(mem[0x5000+offset:], block)
	return vtop.NewSpace(mem, root, vtop.X64)
}

const flatVA = 0xffff880000000000

type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, guestsim.ErrHole
	}
	if n := copy(p, m[off:]); n < len(p) {
		return n, guestsim.ErrHole
	}
	return len(p), nil
}
