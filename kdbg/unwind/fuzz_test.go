package unwind

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// counted counts reads of physical memory.
type counted struct {
	*memory
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.memory.ReadAt(p, off)
}

// readLimit is how many reads of physical memory a step may cost, each of a word with
// its page walk: 32 chained entries of 255 operations, twice as many lookups for jumps,
// the image's headers.
const readLimit = 5 * (32*255 + 1000)

// checkWalk holds what every walk must keep to.
func checkWalk(t *testing.T, m *Method, mem *counted, s *vtop.Space, base vtop.VA, f Frame, stack Limits) {
	t.Helper()
	images := NewList([]*Image{{Base: base, Size: imageSize}})
	step, err := m.Step(s, images, f, stack)
	assert.Less(t, mem.reads, readLimit)
	inside(t, base, step.Read)
	if err != nil {
		require.NotNil(t, stopOf(err), "%v", err)
		require.Equal(t, Step{Read: step.Read}, step, "a step or an error, never both")
		require.NotEmpty(t, err.Error())
	}
	again, errAgain := m.Step(s, images, f, stack)
	require.Equal(t, step, again)
	require.Equal(t, err == nil, errAgain == nil)

	trace := m.Walk(s, images, f, stack)
	require.NotNil(t, trace.Stop)
	require.LessOrEqual(t, len(trace.Steps), MaxFrames)
	switches := 0
	for i, step := range trace.Steps {
		inside(t, base, step.Read)
		c := step.Caller
		require.Equal(t, uint64(c.SP), c.Registers[m.stackPointer])
		require.True(t, c.Has(m.stackPointer))
		switch {
		case step.Switched:
			switches++
			require.True(t, s.Mode.IsKernel(c.SP))
		case c.User:
			require.Len(t, trace.Steps, i+1)
		case m.link && f.Exact && !c.Exact:
			require.GreaterOrEqual(t, c.SP, f.SP, "%v", step)
		default:
			require.Greater(t, c.SP, f.SP, "%v", step)
		}
		f = c
	}
	require.LessOrEqual(t, switches, maxSwitches)
}

func FuzzX64(f *testing.F) {
	le := binary.LittleEndian
	table := append(entry(peimage.Function{Begin: 0x1000, End: 0x1100, Unwind: 0x8000}), entry(peimage.Function{Begin: 0x1200, End: 0x1300, Unwind: 0x8010})...)
	stack := []byte{}
	for range 8 {
		for _, v := range []uint64{uint64(imageBase) + 0x1050, uint64(imageBase) + 0x1250, uint64(stackTop) - 0x200, 0x10, 0x202, back, 0} {
			stack = le.AppendUint64(stack, v)
		}
	}
	for _, info := range [][]byte{
		{1, 1, 1, 0, 1, 0x30},
		{1, 5, 2, 0, 5, 0x32, 1, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 1, 12, 5, 0x25, 12, 0x74, 2, 0, 8, 0x03, 5, 0x72, 1, 0x50},
		{1, 1, 2, 0, 1, 0x50, 0, 0x1a},
		{2, 5, 6, 0, 5, 0x16, 0, 0x06, 8, 0x32, 4, 0xc0, 2, 0x30, 1, 0x02},
		append([]byte{0x21, 0, 1, 0, 0, 0x32, 0, 0}, entry(peimage.Function{Begin: 0x1200, End: 0x1300, Unwind: 0x8000})...),
		append([]byte{1, 0, 1, 0x45, 0, 3, 0, 0}, entry(peimage.Function{Begin: 0x1200, End: 0x1300, Unwind: 0x8009})...),
	} {
		for _, code := range [][]byte{{0x90}, {0x48, 0x83, 0xc4, 0x28, 0x5b, 0xc3}, {0x5b, 0xe9, 0x00, 0x02, 0, 0}, {0x48, 0x8d, 0x65, 0x20, 0xc3}} {
			f.Add(table, info, code, stack, uint16(0x1050), uint16(0x800), true)
			f.Add(table, info, code, stack, uint16(0x1250), uint16(0x100), false)
		}
	}
	f.Fuzz(func(t *testing.T, table, info, code, stack []byte, rva, up uint16, known bool) {
		b := newBuilt()
		b.withCall()
		b.code(uint32(rva), code[:min(len(code), 0x100)]...)
		b.write(imageBase+dataRVA, info[:min(len(info), 0x1000)])
		b.write(imageBase+pdataRVA, table[:min(len(table), 0x1000)])
		b.headers(min(len(table), 0x1000))
		sp := stackTop - vtop.VA(up)%stackSize
		b.write(sp, stack[:min(len(stack), int(stackTop-sp))])
		mem := &counted{memory: b.memory}
		s := b.space()
		s.Mem = mem
		list := limits
		if !known {
			list = Limits{}
		}
		checkWalk(t, X64, mem, s, imageBase, at(uint32(rva), sp), list)
	})
}

func FuzzX86(f *testing.F) {
	le := binary.LittleEndian
	var stack []byte
	for _, v := range []uint32{uint32(stack32) + 0x40, back32, 0, back32, 0x5b, uint32(base32), dbgArgMark} {
		stack = le.AppendUint32(stack, v)
	}
	for _, code := range [][]byte{{0x90}, {0x55, 0x8b, 0xec}, {0x5d, 0xc3}, {0xc3}} {
		f.Add(code, stack, uint16(0x1050), uint16(0), uint16(0x20))
		f.Add(code, stack, uint16(0x1050), uint16(0x20), uint16(0))
	}
	f.Fuzz(func(t *testing.T, code, stack []byte, rva, sp, bp uint16) {
		m, _ := built32()
		m.write(base32+vtop.VA(rva), code[:min(len(code), 0x100)])
		m.write(stack32, stack[:min(len(stack), 0x2000)])
		mem := &counted{memory: m}
		s := m.space32()
		s.Mem = mem
		checkWalk(t, X86, mem, s, base32, at32(vtop.VA(rva), stack32+vtop.VA(sp)%0x2000, stack32+vtop.VA(bp)), limits32)
	})
}
