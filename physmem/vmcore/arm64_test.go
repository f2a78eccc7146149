package vmcore

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// notesARM64 are the notes of two processors as QEMU writes them, by offsets, the second
// with one of SVE.
func notesARM64() []byte {
	le := binary.LittleEndian
	var notes []byte
	note := func(name string, typ uint32, desc []byte) {
		notes = le.AppendUint32(le.AppendUint32(le.AppendUint32(notes, uint32(len(name)+1)), uint32(len(desc))), typ)
		notes = append(append(notes, name...), make([]byte, 8-len(name))...)
		notes = append(notes, desc...)
	}
	for cpu := range uint64(2) {
		p := make([]byte, 0x188)
		le.PutUint32(p[0x20:], uint32(cpu)+1)
		for i := range uint64(34) { // x0 to x30, sp, pc, pstate
			le.PutUint64(p[0x70+8*i:], cpu<<32|0x100+i)
		}
		v := make([]byte, 0x210)
		for i := range uint64(64) {
			le.PutUint64(v[8*i:], cpu<<32|0x200+i)
		}
		le.PutUint32(v[0x200:], 0x11)
		le.PutUint32(v[0x204:], 0x22)
		note("CORE", 1, p)
		note("CORE", 2, v)
		if cpu == 1 {
			note("LINUX", 0x405, make([]byte, 64))
		}
	}
	return notes
}

func TestNotesARM64(t *testing.T) {
	t.Parallel()
	b := notesARM64()
	read := func(b []byte) *Notes {
		return ReadNotes(bytes.NewReader(b), uint64(len(b)), 0, uint64(len(b)), 0)
	}
	n := read(b)
	require.Empty(t, n.Oddities.All())
	require.Equal(t, physmem.MachineARM64, n.Machine)
	require.Len(t, n.CPUs, 2)
	for i, cpu := range n.CPUs {
		c := physmem.ARM64Of(cpu)
		require.NotNil(t, c)
		base := uint64(i) << 32
		assert.Equal(t, i, cpu.Index)
		assert.EqualValues(t, i, cpu.ID)
		assert.Equal(t, base|0x100, c.X[0])
		assert.Equal(t, base|0x11e, c.X[30])
		assert.Equal(t, base|0x11f, c.SP)
		assert.Equal(t, base|0x120, c.PC)
		assert.Equal(t, base|0x121, c.PSTATE)
		assert.Equal(t, [2]uint64{base | 0x23e, base | 0x23f}, c.Vector.V[31])
		assert.EqualValues(t, 0x11, c.Vector.FPSR)
		assert.EqualValues(t, 0x22, c.Vector.FPCR)
		assert.Nil(t, c.System)
		assert.Equal(t, physmem.MachineARM64, cpu.Registers.Machine())
	}
	assert.Nil(t, physmem.ARM64Of(physmem.CPU{Registers: new(physmem.X86)}))
	assert.Nil(t, physmem.X86Of(n.CPUs[0]))

	// A note of floating point belongs to the processor before it, and to nobody before
	// the first.
	first := 12 + 8 + 0x188
	vector := 12 + 8 + 0x210
	n = read(append(append(bytes.Clone(b[first:][:vector]), b[:first]...), b[first+vector:]...))
	require.Len(t, n.CPUs, 2)
	assert.Nil(t, physmem.ARM64Of(n.CPUs[0]).Vector)
	assert.NotNil(t, physmem.ARM64Of(n.CPUs[1]).Vector)

	// Another size of either note is none that is known.
	short := bytes.Clone(b)
	binary.LittleEndian.PutUint32(short[first+vector+4:], 0x180)
	n = read(append(short[:first+vector+12+8+0x180], short[first+vector+first:]...))
	require.Len(t, n.CPUs, 1)
	require.Len(t, n.Oddities.All(), 1)
	assert.Equal(t, "CORE note of 0x180 bytes, want 0x188", n.Oddities.All()[0].Detail)
	short = bytes.Clone(b)
	binary.LittleEndian.PutUint32(short[first+4:], 0x200)
	n = read(append(short[:first+12+8+0x200], short[first+vector:]...))
	require.Len(t, n.CPUs, 2)
	assert.Nil(t, physmem.ARM64Of(n.CPUs[0]).Vector)
	assert.Equal(t, "CORE note of floating point of 0x200 bytes, want 0x210", n.Oddities.All()[0].Detail)
}
