package unwind

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// The image and the stack of x86.
const (
	base32  = vtop.VA(0x80400000)
	stack32 = vtop.VA(0x8a000000) // the lowest address
	back32  = uint32(base32) + 0x7105
)

var limits32 = Limits{Low: stack32, High: stack32 + 0x2000}

func (m *memory) write32(va vtop.VA, values ...uint32) {
	for i, v := range values {
		m.write(va+vtop.VA(4*i), binary.LittleEndian.AppendUint32(nil, v))
	}
}

// space32 is the memory with the kernel of x86 in it, but not with page tables of 32
// bits: those are tested elsewhere.
func (m *memory) space32() *vtop.Space {
	mode := *vtop.X64
	mode.KernelStart, mode.PointerSize = 0x80000000, 4
	s := m.space()
	s.Mode = &mode
	return s
}

func built32() (*memory, *List) {
	m := newMemory()
	m.write(base32, make([]byte, imageSize))
	m.write(base32+textRVA, bytesOf(0xcc, 0x7000))
	m.write(base32+0x7100, []byte{0xe8, 0, 0, 0, 0})
	m.write(stack32, make([]byte, 0x2000))
	return m, NewList([]*Image{{Base: base32, Size: imageSize}})
}

func at32(rva, sp, bp vtop.VA) Frame {
	f := Frame{PC: base32 + rva, Exact: true}
	for i := range 8 {
		f.set(i, 0x1000+uint64(i))
	}
	X86.setSP(&f, sp)
	f.set(ebp, uint64(bp))
	return f
}

func TestFramePointers(t *testing.T) {
	t.Parallel()
	m, images := built32()
	one, two := stack32+0x100, stack32+0x200
	m.write32(one, uint32(two), back32)
	m.write32(two, 0, back32+0) // the last one: its caller has no frame
	trace := X86.Walk(m.space32(), images, at32(0x1050, stack32+0x80, one), limits32)
	require.Len(t, trace.Steps, 2)
	c := trace.Steps[0]
	assert.Equal(t, FramePointer, c.How)
	assert.Equal(t, vtop.VA(back32), c.Caller.PC)
	assert.Equal(t, one+8, c.Caller.SP)
	assert.Equal(t, uint64(two), c.Caller.Registers[ebp])
	assert.Equal(t, uint32(1<<esp|1<<ebp), c.Caller.Known)
	assert.Equal(t, NoFrame, trace.Stop.Reason)

	// What is no return address, and a frame pointer that falls.
	m.write32(one, uint32(two), back32-1)
	_, err := X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, one), limits32)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
	for _, bp := range []vtop.VA{stack32 + 0x7c, one + 2, stack32 + 0x3000, 0} {
		_, err = X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, bp), limits32)
		assert.Equal(t, NoFrame, stopOf(err).Reason, "%#x", bp)
	}
	// The scan keeps a frame pointer that has not been passed.
	m.write32(stack32+0x90, back32)
	trace = X86.Walk(m.space32(), images, at32(0x1050, stack32+0x80, two), limits32)
	assert.Equal(t, FramePointer, trace.Steps[0].How)
	m.write32(two, 0, 1)
	trace = X86.Walk(m.space32(), images, at32(0x1050, stack32+0x80, two), limits32)
	require.NotEmpty(t, trace.Steps)
	assert.Equal(t, Scan, trace.Steps[0].How)
	assert.Equal(t, stack32+0x94, trace.Steps[0].Caller.SP)
	assert.True(t, trace.Steps[0].Caller.Has(ebp))
	m.write32(two, 0, 0)
	trace = X86.Walk(m.space32(), images, at32(0x1050, two-8, two), limits32)
	assert.Equal(t, AtEnd, trace.Stop.Reason)
}

// Where a function begins and ends the return address is on the top of the stack.
func TestEdges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, code []byte
		word         int
		how          How
		saved        bool
	}{
		"begin":          {nil, []byte{0x55, 0x8b, 0xec}, 0, Leaf, false},
		"hot patch":      {nil, []byte{0x8b, 0xff, 0x55, 0x8b, 0xec}, 0, Leaf, false},
		"gcc's begin":    {nil, []byte{0x55, 0x89, 0xe5}, 0, Leaf, false},
		"behind push":    {[]byte{0x55}, []byte{0x8b, 0xec}, 1, Leaf, true},
		"gcc's":          {[]byte{0x55}, []byte{0x89, 0xe5}, 1, Leaf, true},
		"mov alone":      {[]byte{0x90}, []byte{0x8b, 0xec}, -1, FramePointer, false},
		"pop, ret":       {nil, []byte{0x5d, 0xc3}, 1, Epilogue, true},
		"pop, ret n":     {nil, []byte{0x5d, 0xc2, 8, 0}, 1, Epilogue, true},
		"ret":            {nil, []byte{0xc3}, 0, Epilogue, false},
		"ret n":          {nil, []byte{0xc2, 8, 0}, 0, Epilogue, false},
		"leave, ret":     {nil, []byte{0xc9, 0xc3}, -1, FramePointer, false},
		"something else": {nil, []byte{0x90}, -1, FramePointer, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, images := built32()
			m.write(base32+0x1050-vtop.VA(len(tt.before)), append(tt.before, tt.code...))
			sp, bp := stack32+0x80, stack32+0x100
			m.write32(bp, 0x77, back32)
			m.write32(sp, 0x66, 0x66, 0x66)
			want := bp + 8
			if tt.word >= 0 {
				m.write32(sp+4*vtop.VA(tt.word), back32)
				want = sp + 4*vtop.VA(tt.word) + 4
			}
			f := at32(0x1050, sp, bp)
			step, err := X86.Step(m.space32(), images, f, limits32)
			require.NoError(t, err)
			assert.Equal(t, tt.how, step.How)
			assert.Equal(t, want, step.Caller.SP)
			if tt.saved {
				assert.Equal(t, uint64(0x66), step.Caller.Registers[ebp])
			}

			// A frame that waits for a return is not at its edge.
			f.Exact = false
			step, err = X86.Step(m.space32(), images, f, limits32)
			require.NoError(t, err)
			assert.Equal(t, FramePointer, step.How)
		})
	}
}

// trap writes a KTRAP_FRAME.
func (m *memory) trap(at vtop.VA, cs, pc, sp uint32) {
	m.write32(at, 0x5b, pc, dbgArgMark, 0)
	m.write32(at+0x3c, 3, 2, 1)                  // edx ecx eax
	m.write32(at+0x54, 7, 6, 4, 0x5b, 0, pc, cs) // edi esi ebx ebp, error, eip cs
	m.write32(at+0x70, 0x202, sp, 0x10)          // eflags esp ss
}

func TestTrapFrame32(t *testing.T) {
	t.Parallel()
	m, images := built32()
	at := stack32 + 0x100
	m.trap(at, 8, uint32(base32)+0x1234, 0x12345678)
	step, err := X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, at), limits32)
	require.NoError(t, err)
	want := Frame{
		PC: base32 + 0x1234, SP: at + 0x74, Exact: true, Known: 0xff,
		Registers: [32]uint64{1, 2, 3, 4, uint64(at) + 0x74, 0x5b, 6, 7},
	}
	assert.Equal(t, Step{Caller: want, How: MachineFrame, Read: step.Read}, step)
	f, err := X86.TrapFrame(m.space32(), at)
	require.NoError(t, err)
	assert.Equal(t, want, f)

	m.trap(at, 0x1b, 0x401000, 0x12f000)
	step, err = X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, at), limits32)
	require.NoError(t, err)
	assert.True(t, step.Caller.User)
	assert.Equal(t, vtop.VA(0x12f000), step.Caller.SP)

	// Without the mark the copies of ebp and eip tell.
	m.trap(at, 8, uint32(base32)+0x1234, 0)
	m.write32(at+8, 0)
	_, err = X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, at), limits32)
	require.NoError(t, err)
	m.write32(at+4, 1)
	_, err = X86.Step(m.space32(), images, at32(0x1050, stack32+0x80, at), limits32)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
	m.write32(at+0x6c, 0x10)
	_, err = X86.TrapFrame(m.space32(), at)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
	_, err = X86.TrapFrame(m.space32(), 0x80000000)
	assert.Equal(t, NoStack, stopOf(err).Reason)
}

func TestTrapFrame64(t *testing.T) {
	t.Parallel()
	m := newMemory()
	at := stackTop - 0x1000
	m.write(at, make([]byte, 0x190))
	m.write64(at+0x30, 0, 1, 2, 8, 9, 10, 11)
	m.write64(at+0x158, 5, 0, uint64(imageBase)+5, 0x10, 0x10202, uint64(stackTop)-8, 0x18)
	f, err := X64.TrapFrame(m.space(), at)
	require.NoError(t, err)
	assert.Equal(t, Frame{
		PC: imageBase + 5, SP: stackTop - 8, Exact: true, Known: 0xf37,
		Registers: [32]uint64{0, 1, 2, 0, uint64(stackTop) - 8, 5, 0, 0, 8, 9, 10, 11},
	}, f)
	for off, v := range map[vtop.VA]uint64{0x168: 1 << 63, 0x170: 0x18, 0x178: 0x200, 0x180: 0x12f000} {
		old, err := m.space().Uint64(at + off)
		require.NoError(t, err)
		m.write64(at+off, v)
		_, err = X64.TrapFrame(m.space(), at)
		assert.Equal(t, NoFrame, stopOf(err).Reason, "%#x", off)
		m.write64(at+off, old)
	}
	m.write64(at+0x170, 0x33, 2, 0x12f000)
	f, err = X64.TrapFrame(m.space(), at)
	require.NoError(t, err)
	assert.True(t, f.User)
	m.write64(at+0x180, 1<<63)
	_, err = X64.TrapFrame(m.space(), at)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
}

func TestContext(t *testing.T) {
	t.Parallel()
	wide := &wincontext.Context64{Rax: 0, Rcx: 1, Rdx: 2, Rbx: 3, Rsp: 4, Rbp: 5, Rsi: 6, Rdi: 7, R8: 8, R9: 9, R10: 10, R11: 11, R12: 12, R13: 13, R14: 14, R15: 15, Rip: 16, SegCs: 0x10}
	f, ok := X64.Frame(wide)
	require.True(t, ok)
	assert.Equal(t, Frame{PC: 16, SP: 4, Registers: [32]uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Known: 0xffff, Exact: true}, f)
	narrow := &wincontext.Context32{Eax: 0, Ecx: 1, Edx: 2, Ebx: 3, Esp: 4, Ebp: 5, Esi: 6, Edi: 7, Eip: 8, SegCs: 0x1b}
	f, ok = X86.Frame(narrow)
	require.True(t, ok)
	assert.Equal(t, Frame{PC: 8, SP: 4, Registers: [32]uint64{0, 1, 2, 3, 4, 5, 6, 7}, Known: 0xff, Exact: true, User: true}, f)
	_, ok = X64.Frame(narrow)
	assert.False(t, ok)
	_, ok = X86.Frame(wide)
	assert.False(t, ok)
}
