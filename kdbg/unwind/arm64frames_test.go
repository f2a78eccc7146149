package unwind

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg/peimage"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// inARM64 is a state in the test's function, its stack pointer in the middle of the stack.
func inARM64(offset vtop.VA) Frame {
	f := atARM64(stackTop-0x1000, stackTop-0x800)
	f.PC = imageBase + armBegin + offset
	f.Registers[lrARM64] = uint64(imageBase) + 0x7104
	return f
}

// TestLeafARM64: without an entry the caller is at x30, once; then x29 leads on.
func TestLeafARM64(t *testing.T) {
	t.Parallel()
	b, images := armImage(packed(1, 8, 0, 0, 0, 0, 16), nil)
	f := inARM64(0x100)
	f.Registers[lrARM64] = f.Registers[lrARM64]&^(0x7f<<48) | signature
	step, err := ARM64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, Leaf, step.How)
	assert.Equal(t, imageBase+0x7104, step.Caller.PC)
	assert.Equal(t, f.SP, step.Caller.SP)
	assert.False(t, step.Caller.Has(lrARM64))

	b.write64(stackTop-0x800, 0, uint64(imageBase)+0x7104)
	next, err := ARM64.Step(b.space(), images, step.Caller, limits)
	require.NoError(t, err)
	assert.Equal(t, FramePointer, next.How, "nobody knows x30 there")

	f.Registers[lrARM64] = uint64(imageBase) + 0x7108
	step, err = ARM64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, FramePointer, step.How, "x30 holds no return address")
	f.Registers[lrARM64] = 0
	_, err = ARM64.Step(b.space(), images, f, limits)
	assert.Equal(t, AtEnd, stopOf(err).Reason)
}

// TestLastCallARM64: a function may end in a call that does not return; the return
// address lies behind it.
func TestLastCallARM64(t *testing.T) {
	t.Parallel()
	b, images := armImage(dataRVA, xdata(8, false, 0, 1, 0xe1, 0x81, 0xe4, 0))
	f := inARM64(8 * 4)
	f.Exact = false
	f.Known &= nonvolatileARM64
	f.Registers[fpARM64] = uint64(f.SP)
	b.write64(f.SP, uint64(stackTop)-0x400, uint64(imageBase)+0x7104)
	step, err := ARM64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, Unwind, step.How)
	assert.Equal(t, imageBase+0x7104, step.Caller.PC)
	assert.Equal(t, f.SP+16, step.Caller.SP)
}

// TestFragmentsARM64: parts of a function, whose frame another part has made.
func TestFragmentsARM64(t *testing.T) {
	t.Parallel()
	wrapped := []byte{0xc8, 0x9c, 0xe5, 0xe1, 0xc8, 0x1e, 0x9f, 0xe4} // save_regp 2,224; end_c; set_fp; save_regp 0,240; save_fplr_x
	for name, tt := range map[string]struct {
		word    uint32
		record  []byte
		offset  vtop.VA
		how     How
		up, x21 uint64
		main    bool
	}{
		"packed":             {word: packed(2, 4, 0, 2, 0, 3, 272), how: Unwind, up: 272},
		"epilogue elsewhere": {word: dataRVA, record: xdata(8, false, 0, 2, 0xe5, 0xe1, 0xc8, 0x1e, 0x9f, 0xe4, 0, 0), how: Unwind, up: 256},
		"wrapped, begin":     {word: dataRVA, record: xdata(8, false, 0, 2, wrapped...), how: Unwind, up: 256, main: true},
		"wrapped, body":      {word: dataRVA, record: xdata(8, false, 0, 2, wrapped...), offset: 4, how: Unwind, up: 256, x21: 0x2000 + 224/8, main: true},
		"wrapped, epilogue":  {word: dataRVA, record: xdata(8, true, 0, 2, wrapped...), offset: 0x18, how: Epilogue, up: 256, x21: 0x2000 + 224/8, main: true},
		"wrapped, its end":   {word: dataRVA, record: xdata(8, true, 0, 2, wrapped...), offset: 0x1c, how: Epilogue, up: 256, main: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, images := armImage(tt.word, tt.record)
			f := inARM64(tt.offset)
			f.Registers[fpARM64] = uint64(f.SP)
			for i := range vtop.VA(0x40) {
				b.write64(f.SP+8*i, 0x2000+uint64(i))
			}
			b.write64(f.SP, uint64(stackTop)-0x400, uint64(imageBase)+0x7104)
			step, err := ARM64.Step(b.space(), images, f, limits)
			require.NoError(t, err)
			assert.Equal(t, tt.how, step.How)
			assert.Equal(t, f.SP+vtop.VA(tt.up), step.Caller.SP)
			assert.Equal(t, imageBase+0x7104, step.Caller.PC)
			if tt.x21 == 0 {
				tt.x21 = 0x100 + 21
			}
			assert.Equal(t, tt.x21, step.Caller.Registers[21])
			_, _, ok := ARM64.Function(b.space(), images, f.PC)
			assert.Equal(t, tt.main, ok)
		})
	}
}

// TestOwnFramesARM64: what Windows' own assembler code leaves on the stack.
func TestOwnFramesARM64(t *testing.T) {
	t.Parallel()
	pc, sp := uint64(imageBase)+0x2224, uint64(stackTop)-0x300
	for name, tt := range map[string]struct {
		code  byte
		write func(b *built, at vtop.VA)
		x20   uint64
		exact bool
		sp    uint64
	}{
		"machine frame": {0xe9, func(b *built, at vtop.VA) { b.write64(at, sp, pc) }, 0x100 + 20, true, sp},
		"trap frame": {0xe8, func(b *built, at vtop.VA) {
			b.write32(at+0x90, 0x60000144)
			b.write64(at+0x98, sp)
			b.write64(at+0x148, pc)
		}, 0x100 + 20, true, sp},
		"context": {0xea, func(b *built, at vtop.VA) {
			c := &wincontext.ContextARM64{ContextFlags: wincontext.ContextFullARM64, Cpsr: 0x60000144, Pc: pc, Sp: sp}
			c.X[20] = 0x77
			b.write(at, c.Encode())
		}, 0x77, true, sp},
		"context of a call": {0xea, func(b *built, at vtop.VA) {
			c := &wincontext.ContextARM64{ContextFlags: wincontext.ContextFullARM64 | 0x20000000, Cpsr: 0x60000144, Pc: pc, Sp: sp}
			b.write(at, c.Encode())
		}, 0, false, sp},
		"no call": {0xec, func(*built, vtop.VA) {}, 0x100 + 20, true, uint64(stackTop) - 0x1000 + 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, images := armImage(dataRVA, xdata(8, false, 0, 1, 0xe3, 0x01, tt.code, 0xe4))
			f := inARM64(0x10)
			tt.write(b, f.SP+16)
			if tt.code == 0xec {
				f.Registers[lrARM64] = pc
			}
			step, err := ARM64.Step(b.space(), images, f, limits)
			require.NoError(t, err)
			assert.Equal(t, MachineFrame, step.How)
			assert.EqualValues(t, pc, step.Caller.PC)
			assert.EqualValues(t, tt.sp, step.Caller.SP)
			assert.Equal(t, tt.x20, step.Caller.Registers[20])
			assert.Equal(t, tt.exact, step.Caller.Exact)
			assert.False(t, step.Caller.User)
		})
	}
}

// TestMalformedARM64: what can't be unwind data is named, and x29 leads on.
func TestMalformedARM64(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		word   uint32
		record []byte
	}{
		"flag 3":                {packed(3, 8, 0, 0, 0, 0, 16), nil},
		"eleven registers":      {packed(1, 8, 0, 11, 0, 0, 256), nil},
		"a frame too small":     {packed(1, 8, 0, 4, 0, 0, 16), nil},
		"no room for x29":       {packed(1, 8, 0, 2, 0, 3, 16), nil},
		"shorter than its end":  {packed(1, 1, 0, 2, 0, 3, 48), nil},
		"behind the image":      {imageSize, nil},
		"record cut":            {imageSize - 4, xdata(0, false, 0, 0)},
		"version 1":             {dataRVA, xdata(8|1<<18, false, 0, 1, 0xe4, 0, 0, 0)},
		"no end":                {dataRVA, xdata(8, false, 0, 1, 0x01, 0x01, 0x01, 0x01)},
		"code cut":              {dataRVA, xdata(8, false, 0, 1, 0xe3, 0xe3, 0xe3, 0xc8)},
		"reserved":              {dataRVA, xdata(8, false, 0, 1, 0xf0, 0xe4, 0, 0)},
		"EC context":            {dataRVA, xdata(8, false, 0, 1, 0xeb, 0xe4, 0, 0)},
		"0xdf":                  {dataRVA, xdata(8, false, 0, 1, 0xdf, 0, 0xe4, 0)},
		"x31":                   {dataRVA, xdata(8, false, 0, 1, 0xcb, 0, 0xe4, 0)},
		"next of nothing":       {dataRVA, xdata(8, false, 0, 1, 0xe6, 0x01, 0xe4, 0)},
		"epilogue of no code":   {dataRVA, xdata(8, true, 9, 1, 0xe4, 0, 0, 0)},
		"scope of no code":      {dataRVA, xdata(8, false, 1, 1, 0x01, 0, 0, 9, 0xe4, 0, 0, 0)},
		"no trap frame at sp":   {dataRVA, xdata(8, false, 0, 1, 0xe8, 0xe4, 0, 0)},
		"sp past every address": {dataRVA, xdata(8, false, 0, 3, 0xe0, 0xff, 0xff, 0xff, 0xe0, 0xff, 0xff, 0xff, 0x40, 0xe4, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, images := armImage(tt.word, tt.record)
			f := inARM64(0x10)
			b.write32(f.SP+0x90, 2)
			b.write64(stackTop-0x800, 0, uint64(imageBase)+0x7104)
			w := &walk{m: ARM64, space: b.space(), images: images, stack: limits}
			require.NoError(t, w.enter(f))
			_, err := w.unwindARM64(f)
			require.Error(t, err)
			if name != "sp past every address" {
				assert.Equal(t, BadUnwindData, stopOf(err).Reason, "%v", err)
			}
			step, err := ARM64.Step(b.space(), images, f, limits)
			require.NoError(t, err)
			assert.Equal(t, FramePointer, step.How)
		})
	}
}

func FuzzARM64(f *testing.F) {
	le := binary.LittleEndian
	var stack []byte
	for range 8 {
		for _, v := range []uint64{uint64(stackTop) - 0x200, uint64(imageBase) + 0x7104, uint64(imageBase) + 0x1010, 0x60000144, 0} {
			stack = le.AppendUint64(stack, v)
		}
	}
	for _, record := range [][]byte{
		xdata(8, true, 0, 2, 0xe1, 0xc8, 0x1e, 0xd8, 0x1c, 0x9f, 0xe4, 0),
		xdata(8, false, 1, 2, slices.Concat(le.AppendUint32(nil, 4), []byte{0xc8, 0x9c, 0xe5, 0xe1, 0xe6, 0xcc, 0x1e, 0xe4})...),
		xdata(8, false, 0, 1, 0xe8, 0xe4, 0, 0),
		xdata(8, false, 0, 1, 0xe9, 0xe4, 0, 0),
		xdata(8, false, 0, 1, 0xea, 0xe4, 0, 0),
	} {
		for _, word := range []uint32{dataRVA, packed(1, 8, 0, 2, 0, 3, 48), packed(2, 8, 2, 3, 1, 1, 256)} {
			f.Add(le.AppendUint32(le.AppendUint32(nil, armBegin), word), record, stack, uint16(armBegin+0x10), uint16(0x800), true)
			f.Add(le.AppendUint32(le.AppendUint32(nil, armBegin), word), record, stack, uint16(armBegin+0x1c), uint16(0x100), false)
		}
	}
	f.Fuzz(func(t *testing.T, table, record, stack []byte, rva, up uint16, known bool) {
		b, _ := armImage(0, record[:min(len(record), 0x1000)])
		table = table[:min(len(table), 0x1000)]
		b.write(imageBase+pdataRVA, make([]byte, 16))
		b.write(imageBase+pdataRVA, table)
		b.headers(len(table))
		b.write(imageBase+0x84, le.AppendUint16(nil, peimage.ARM64.Machine))
		sp := stackTop - vtop.VA(up)%stackSize
		b.write(sp, stack[:min(len(stack), int(stackTop-sp))])
		mem := &counted{memory: b.memory}
		s := b.space()
		s.Mem = mem
		list := limits
		if !known {
			list = Limits{}
		}
		state := inARM64(0)
		state.PC = imageBase + vtop.VA(rva)
		state.Registers[fpARM64] = uint64(sp)
		ARM64.setSP(&state, sp)
		checkWalk(t, ARM64, mem, s, imageBase, state, list)
	})
}
