package unwind

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// back is a return address in the image, behind a call.
const back = uint64(imageBase) + 0x7105

// withCall writes that call.
func (b *built) withCall() { b.code(0x7100, 0xe8, 0, 0, 0, 0) }

// Each operation by itself, as Microsoft documents it. The function is from 0x1000 to
// 0x1100, and the stack holds 0x2000, 0x2001, ... with the return address at a place.
func TestOperations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		info      []byte
		offset    uint32 // of the PC in the function
		ret       int    // the word at which the return address is
		registers map[int]uint64
	}{
		"nothing":                 {info: []byte{1, 0, 0, 0}},
		"push":                    {info: []byte{1, 1, 1, 0, 1, 0x30}, offset: 0x20, ret: 1, registers: map[int]uint64{rbx: 0x2000}},
		"push not done":           {info: []byte{1, 1, 1, 0, 1, 0x30}, offset: 0},
		"two pushes":              {info: []byte{1, 3, 2, 0, 3, 0xc0, 1, 0x50}, offset: 3, ret: 2, registers: map[int]uint64{12: 0x2000, rbp: 0x2001}},
		"the first of two pushes": {info: []byte{1, 3, 2, 0, 3, 0xc0, 1, 0x50}, offset: 1, ret: 1, registers: map[int]uint64{rbp: 0x2000}},
		"small allocation":        {info: []byte{1, 4, 1, 0, 4, 0x02}, offset: 0x20, ret: 1},
		"largest small one":       {info: []byte{1, 4, 1, 0, 4, 0xf2}, offset: 0x20, ret: 16},
		"large allocation":        {info: []byte{1, 7, 2, 0, 7, 0x01, 0x11, 0}, offset: 0x20, ret: 17},
		"large one of 32 bits":    {info: []byte{1, 7, 3, 0, 7, 0x11, 0x00, 0x08, 0, 0}, offset: 0x20, ret: 0x100},
		"save":                    {info: []byte{1, 9, 3, 0, 9, 0x64, 1, 0, 4, 0x32}, offset: 0x20, ret: 4, registers: map[int]uint64{rsi: 0x2001}},
		"save, far":               {info: []byte{1, 9, 4, 0, 9, 0xe5, 0x10, 0, 0, 0, 4, 0x32}, offset: 0x20, ret: 4, registers: map[int]uint64{14: 0x2002}},
		"xmm":                     {info: []byte{1, 9, 3, 0, 9, 0x68, 1, 0, 4, 0x32}, offset: 0x20, ret: 4},
		"xmm, far":                {info: []byte{1, 9, 4, 0, 9, 0x69, 0, 0, 1, 0, 4, 0x32}, offset: 0x20, ret: 4},
		"halves of xmm":           {info: []byte{1, 9, 6, 0, 9, 0x66, 1, 0, 9, 0x67, 0, 0, 1, 0, 4, 0x32}, offset: 0x20, ret: 4},
		"version 2":               {info: []byte{2, 5, 4, 0, 1, 0x06, 0, 0x06, 5, 0x32, 1, 0x30}, offset: 0x20, ret: 5, registers: map[int]uint64{rbx: 0x2004}},
		"version 2, its epilogue": {info: []byte{2, 5, 4, 0, 2, 0x16, 0, 0x06, 5, 0x32, 1, 0x30}, offset: 0xfe, ret: 1, registers: map[int]uint64{rbx: 0x2000}},
		"version 2, its ret":      {info: []byte{2, 5, 4, 0, 2, 0x16, 0, 0x06, 5, 0x32, 1, 0x30}, offset: 0xff},
		"version 2, another one":  {info: []byte{2, 5, 4, 0, 2, 0x06, 0x80, 0x06, 5, 0x32, 1, 0x30}, offset: 0x80, ret: 1, registers: map[int]uint64{rbx: 0x2000}},
		"version 2, behind it":    {info: []byte{2, 5, 4, 0, 2, 0x06, 0x80, 0x06, 5, 0x32, 1, 0x30}, offset: 0x82, ret: 5, registers: map[int]uint64{rbx: 0x2004}},
		"version 2, pushfq":       {info: []byte{2, 5, 6, 0, 5, 0x16, 0, 0x06, 8, 0x32, 4, 0xc0, 2, 0x30, 1, 0x02}, offset: 0xfb, ret: 3, registers: map[int]uint64{12: 0x2000, rbx: 0x2001}},
		"version 2, behind a pop": {info: []byte{2, 5, 6, 0, 5, 0x16, 0, 0x06, 8, 0x32, 4, 0xc0, 2, 0x30, 1, 0x02}, offset: 0xfd, ret: 2, registers: map[int]uint64{rbx: 0x2000}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt()
			b.withCall()
			b.function(0x1000, 0x1100, b.info(tt.info...))
			images := b.done()
			sp := stackTop - 0x2000
			for i := range vtop.VA(0x200) {
				b.write64(sp+8*i, 0x2000+uint64(i))
			}
			b.write64(sp+8*vtop.VA(tt.ret), back)
			f := at(0x1000+tt.offset, sp)
			step, err := X64.Step(b.space(), images, f, limits)
			require.NoError(t, err)
			want := f
			want.PC, want.Exact, want.Known = vtop.VA(back), false, nonvolatile64
			X64.setSP(&want, sp+8*vtop.VA(tt.ret)+8)
			for r, v := range tt.registers {
				want.set(r, v)
			}
			assert.Equal(t, want, step.Caller)
			inside(t, imageBase, step.Read)
		})
	}
}

// inside checks that spans lie in the image at base.
func inside(t *testing.T, base vtop.VA, spans []Span) {
	t.Helper()
	for _, s := range spans {
		assert.True(t, s.VA >= base && s.VA-base <= imageSize && uint64(s.Size) <= uint64(imageSize-(s.VA-base)), "%v", s)
	}
}

// A frame register holds what the stack pointer was, whatever the body did to it.
func TestFrameRegister(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	// push rbp; sub rsp,0x40; lea rbp,[rsp+0x20]; mov [rbp-0x10],rdi
	b.function(0x1000, 0x1100, b.info(1, 12, 5, 0x25, 12, 0x74, 2, 0, 8, 0x03, 5, 0x72, 1, 0x50))
	images := b.done()
	sp := stackTop - 0x1000
	b.write64(sp, 1, 2, 0x7d1, 4, 5, 6, 7, 8, 0xbb, back)
	f := at(0x1050, sp-0x300)
	f.set(rbp, uint64(sp)+0x20)
	step, err := X64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, sp+0x50, step.Caller.SP)
	assert.Equal(t, uint64(0xbb), step.Caller.Registers[rbp])
	assert.Equal(t, uint64(0x7d1), step.Caller.Registers[rdi])

	// In the prologue, before the register is set, the stack pointer counts.
	f = at(0x1005, sp)
	step, err = X64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, sp+0x50, step.Caller.SP)
	assert.Equal(t, uint64(0x1007), step.Caller.Registers[rdi])

	// lea rsp,[rbp+0x20]; pop rbp; ret
	b.code(0x10f0, 0x48, 0x8d, 0x65, 0x20, 0x5d, 0xc3)
	f = at(0x10f0, sp-0x300)
	f.set(rbp, uint64(sp)+0x20)
	step, err = X64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, Epilogue, step.How)
	assert.Equal(t, sp+0x50, step.Caller.SP)

	f.Known &^= 1 << rbp
	for _, rva := range []vtop.VA{0x1050, 0x10f0} {
		f.PC = imageBase + rva
		_, err = X64.Step(b.space(), images, f, limits)
		require.ErrorContains(t, err, "register not known")
		require.ErrorContains(t, err, "rbp")
	}
}

// lea rsp,[r12+n] has a SIB byte, which is not taken for n.
func TestFrameRegisterSIB(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.function(0x1000, 0x1100, b.info(1, 4, 1, 12, 4, 3)) // mov r12,rsp
	images := b.done()
	b.code(0x1080, 0x49, 0x8d, 0x64, 0x24, 0xc3)
	sp := stackTop - 0x1000
	b.write64(sp, back)
	f := at(0x1080, sp-0x100)
	f.set(12, uint64(sp))
	step, err := X64.Step(b.space(), images, f, limits)
	require.NoError(t, err)
	assert.Equal(t, Unwind, step.How)
	assert.Equal(t, sp+8, step.Caller.SP)
}

// The stack pointer does not fall, wrap, or leave the kernel.
func TestNotRising(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.function(0x1000, 0x1100, b.info(1, 0, 0, 0))
	images := b.done()
	sp := stackTop - 0x1000
	b.code(0x1080, 0x48, 0x83, 0xc4, 0x80, 0xc3) // add rsp,-0x80
	b.write64(sp-0x80, back)
	_, err := X64.Step(b.space(), images, at(0x1080, sp), limits)
	assert.Equal(t, NotRising, stopOf(err).Reason)

	for _, m := range []*Method{X64, X86} {
		w := &walk{m: m}
		f := Frame{SP: m.highest() - 3}
		require.NoError(t, w.drop(&f, 3))
		assert.Equal(t, NotRising, stopOf(w.drop(&f, 4)).Reason)
	}

	b.write64(0x10000, back)
	_, err = X64.Step(b.space(), images, at(0x1050, 0x10000), Limits{})
	assert.Equal(t, NoStack, stopOf(err).Reason)
	b.write64(stackTop-8, back)
	step, err := X64.Step(b.space(), images, at(0x1050, stackTop-8), limits)
	require.NoError(t, err)
	assert.Equal(t, stackTop, step.Caller.SP, "the last word of the stack")
	assert.False(t, step.Switched)
}

func TestMachineFrame(t *testing.T) {
	t.Parallel()
	for _, code := range []byte{0, 1} {
		b := newBuilt()
		// the processor pushes; push rbp
		b.function(0x1000, 0x1100, b.info(1, 1, 2, 0, 1, 0x50, 0, code<<4|10))
		images := b.done()
		sp, old := stackTop-0x1000, stackTop-0x800
		frame := []uint64{0xbb, 0x7777, back, 0x10, 0x202, uint64(old), 0x18}
		if code == 0 {
			frame = append(frame[:1], frame[2:]...)
		}
		b.write64(sp, frame...)
		step, err := X64.Step(b.space(), images, at(0x1050, sp), limits)
		require.NoError(t, err)
		assert.Equal(t, MachineFrame, step.How)
		assert.Equal(t, vtop.VA(back), step.Caller.PC)
		assert.Equal(t, old, step.Caller.SP)
		assert.True(t, step.Caller.Exact)
		assert.False(t, step.Switched)
		assert.Equal(t, uint64(0xbb), step.Caller.Registers[rbp])
		assert.False(t, step.Caller.Has(0), "nobody saved rax")

		b.write64(sp+8*(2+vtop.VA(code)), 0x33)
		step, err = X64.Step(b.space(), images, at(0x1050, sp), limits)
		require.NoError(t, err)
		assert.True(t, step.Caller.User)
		_, err = X64.Step(b.space(), images, step.Caller, limits)
		assert.Equal(t, UserMode, stopOf(err).Reason)
	}
}

// A walk goes to another stack at most twice, and only to mapped memory of the kernel.
func TestSwitch(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.function(0x1000, 0x1100, b.info(1, 0, 1, 0, 0, 10))
	images := b.done()
	other := vtop.VA(0xfffff8a000000000)
	b.write(other, make([]byte, pageSize))
	sp := stackTop - 0x1000
	pc := uint64(imageBase) + 0x1050
	b.write64(sp, pc, 0x10, 2, uint64(other), 0x18)
	b.write64(other, pc, 0x10, 2, uint64(sp), 0x18)
	step, err := X64.Step(b.space(), images, at(0x1050, sp), limits)
	require.NoError(t, err)
	assert.True(t, step.Switched)

	trace := X64.Walk(b.space(), images, at(0x1050, sp), limits)
	assert.Equal(t, TooMany, trace.Stop.Reason)
	assert.LessOrEqual(t, len(trace.Steps), 2*maxSwitches+1)

	for _, to := range []vtop.VA{0x10000, other + 0x100000} {
		b.write64(sp+24, uint64(to))
		_, err = X64.Step(b.space(), images, at(0x1050, sp), limits)
		assert.Equal(t, NoStack, stopOf(err).Reason, to)
	}
}

func TestChained(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	main := b.function(0x1000, 0x1020, b.info(1, 5, 2, 0, 5, 0x32, 1, 0x30)) // push rbx; sub rsp,0x20
	more := b.function(0x1200, 0x1280, b.info(append([]byte{0x21, 5, 3, 0, 5, 0x64, 8, 0, 4, 0x32, 0, 0}, entry(main)...)...))
	b.function(0x1300, 0x1380, b.info(entry(more)...)+1) // refers to the entry
	images := b.done()
	sp := stackTop - 0x1000
	b.write64(sp, 0, 0, 0, 0, 0, 0, 0, 0, 0xbb, back)
	for _, rva := range []uint32{0x1210, 0x1310} {
		b.write64(sp+0x40, 0x51) // rsi, which the fragment saved; then the main part's rbx
		step, err := X64.Step(b.space(), images, at(rva, sp), limits)
		require.NoError(t, err)
		assert.Equal(t, sp+0x50, step.Caller.SP)
		assert.Equal(t, uint64(0x51), step.Caller.Registers[rsi])
		assert.Equal(t, uint64(0x51), step.Caller.Registers[rbx], "the two overlap here")
		begin, end, ok := X64.Function(b.space(), images, imageBase+vtop.VA(rva))
		assert.True(t, ok)
		assert.Equal(t, []vtop.VA{imageBase + 0x1000, imageBase + 0x1020}, []vtop.VA{begin, end})
	}

	// A jump between the parts is in the body; one out of them, or to where the function
	// begins, is its end.
	for target, how := range map[uint32]How{0x1010: Unwind, 0x1220: Unwind, 0x1000: Epilogue, 0x1400: Epilogue, 0x7fff: Epilogue} {
		b.write64(sp, back)
		d := target - 0x1275
		b.code(0x1270, 0xe9, byte(d), byte(d>>8), byte(d>>16), byte(d>>24))
		step, err := X64.Step(b.space(), images, at(0x1270, sp), limits)
		require.NoError(t, err)
		assert.Equal(t, how, step.How, "%#x", target)
	}
}

// What ends an epilogue, and what does not.
func TestEpilogue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code []byte
		ret  int // the word of the return address; -1: in the body, where it is word 5
		rbx  uint64
	}{
		"ret":                        {code: []byte{0xc3}, rbx: 0x1003},
		"ret n":                      {code: []byte{0xc2, 8, 0}, rbx: 0x1003},
		"rep ret":                    {code: []byte{0xf3, 0xc3}, rbx: 0x1003},
		"bnd ret":                    {code: []byte{0xf2, 0xc3}, rbx: 0x1003},
		"pop":                        {code: []byte{0x5b, 0xc3}, ret: 1, rbx: 0x2000},
		"pop with REX":               {code: []byte{0x41, 0x5f, 0x5b, 0xc3}, ret: 2, rbx: 0x2001},
		"add, pop":                   {code: []byte{0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3}, ret: 3, rbx: 0x2002},
		"add of 32 bits":             {code: []byte{0x48, 0x81, 0xc4, 0x10, 0, 0, 0, 0x5b, 0xc3}, ret: 3, rbx: 0x2002},
		"jump through memory":        {code: []byte{0x5b, 0xff, 0x25, 0, 0, 0, 0}, ret: 1, rbx: 0x2000},
		"jump through a register":    {code: []byte{0x5b, 0x48, 0xff, 0xe0}, ret: 1, rbx: 0x2000},
		"without REX.W":              {code: []byte{0x5b, 0xff, 0xe0}, ret: -1},
		"with another prefix":        {code: []byte{0x5b, 0x41, 0xff, 0xe0}, ret: -1},
		"jump out":                   {code: []byte{0x5b, 0xe9, 0, 0x10, 0, 0}, ret: 1, rbx: 0x2000},
		"short jump out":             {code: []byte{0x5b, 0xeb, 0x70}, ret: 1, rbx: 0x2000},
		"jump inside":                {code: []byte{0x5b, 0xeb, 0x10}, ret: -1},
		"jump to the begin":          {code: []byte{0x5b, 0xe9, 0x7a, 0xff, 0xff, 0xff}, ret: 1, rbx: 0x2000},
		"lea without frame register": {code: []byte{0x48, 0x8d, 0x65, 0x20, 0xc3}, ret: -1},
		"something else":             {code: []byte{0x90, 0xc3}, ret: -1},
		"call":                       {code: []byte{0xff, 0x15, 0, 0, 0, 0}, ret: -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt()
			b.withCall()
			b.function(0x1000, 0x10f0, b.info(1, 5, 2, 0, 5, 0x32, 1, 0x30)) // push rbx; sub rsp,0x20
			images := b.done()
			b.code(0x1080, tt.code...)
			sp := stackTop - 0x1000
			b.write64(sp, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, back)
			ret, how, rbxWant := tt.ret, Epilogue, tt.rbx
			if ret < 0 {
				ret, how, rbxWant = 5, Unwind, 0x2004
			}
			b.write64(sp+8*vtop.VA(ret), back)
			step, err := X64.Step(b.space(), images, at(0x1080, sp), limits)
			require.NoError(t, err)
			assert.Equal(t, how, step.How)
			assert.Equal(t, sp+8*vtop.VA(ret)+8, step.Caller.SP)
			assert.Equal(t, rbxWant, step.Caller.Registers[rbx])
			assert.False(t, step.NoCode)
		})
	}
}

// Code that is not in memory is taken for the body, and that is said.
func TestNoCode(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.function(0x1000, 0x3000, b.info(1, 1, 1, 0, 1, 0x30))
	images := b.done()
	b.unmap(imageBase + 0x2000)
	sp := stackTop - 0x1000
	b.write64(sp, 1, back)
	for _, rva := range []uint32{0x2080, 0x1ffe} {
		b.code(0x1ffe, 0x5b, 0x5d) // two pops, and then nobody knows
		step, err := X64.Step(b.space(), images, at(rva, sp), limits)
		require.NoError(t, err)
		assert.Equal(t, Unwind, step.How)
		assert.True(t, step.NoCode)
	}
	b.code(0x1ffe, 0x90, 0x90)
	step, err := X64.Step(b.space(), images, at(0x1ff0, sp), limits)
	require.NoError(t, err)
	assert.False(t, step.NoCode)
}

// The directory that the loader knows serves where the headers are paged out.
func TestLoadersDirectory(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.function(0x1000, 0x1100, b.info(1, 1, 1, 0, 1, 0x30))
	b.done()
	b.unmap(imageBase)
	sp := stackTop - 0x1000
	b.write64(sp, 0xbb, back)
	im := &Image{Base: imageBase, Size: imageSize}
	_, err := X64.Step(b.space(), NewList([]*Image{im}), at(0x1050, sp), limits)
	assert.Equal(t, NoUnwindData, stopOf(err).Reason)
	require.ErrorIs(t, err, vtop.ErrNotMapped)

	for _, span := range []Span{{VA: imageBase + pdataRVA, Size: 12}, {VA: imageBase + pdataRVA, Size: imageSize}, {VA: 12, Size: 12}} {
		im := &Image{Base: imageBase, Size: imageSize, Functions: span}
		step, err := X64.Step(b.space(), NewList([]*Image{im}), at(0x1050, sp), limits)
		if span.VA < imageBase || span.Size > 12 {
			assert.Equal(t, NoUnwindData, stopOf(err).Reason)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, vtop.VA(back), step.Caller.PC)
	}
}

// Unwind data that can't be right, or is not there, ends in a reason.
func TestBroken(t *testing.T) {
	t.Parallel()
	const good, end = uint32(0x1000), uint32(0x1100)
	tests := map[string]struct {
		build func(b *built)
		want  Reason
		text  string
	}{
		"version 3":      {func(b *built) { b.function(good, end, b.info(3, 0, 0, 0)) }, BadUnwindData, "version 3"},
		"operation 11":   {func(b *built) { b.function(good, end, b.info(1, 1, 1, 0, 1, 11)) }, BadUnwindData, "operation 11"},
		"cut operation":  {func(b *built) { b.function(good, end, b.info(1, 1, 1, 0, 1, 1)) }, BadUnwindData, "is cut"},
		"outside":        {func(b *built) { b.function(good, end, imageSize-2) }, BadUnwindData, "not in the image"},
		"entry outside":  {func(b *built) { b.function(good, end, imageSize) }, BadUnwindData, "exception directory, entry 0"},
		"entry reversed": {func(b *built) { b.function(end, good, 0x8000) }, BadUnwindData, "exception directory, entry 0"},
		"wiped":          {func(b *built) { b.functions = make([]peimage.Function, 100) }, BadUnwindData, "exception directory"},
		"no directory":   {func(*built) {}, NoUnwindData, "the image has none"},
		"indirect circle": {func(b *built) {
			b.function(good, end, b.next+1)
			b.info(entry(peimage.Function{Begin: good, End: end, Unwind: b.next + 1})...)
		}, BadUnwindData, "refer to one another"},
		"chain circle": {func(b *built) {
			b.function(good, end, b.next)
			b.info(append([]byte{0x21, 0, 0, 0}, entry(peimage.Function{Begin: good, End: end, Unwind: b.next})...)...)
		}, BadUnwindData, "chained entries"},
		"chained to nothing": {func(b *built) {
			b.function(good, end, b.info(append([]byte{0x21, 0, 0, 0}, entry(peimage.Function{})...)...))
		}, BadUnwindData, "chained to no function"},
		"unwind data paged out": {func(b *built) {
			b.function(good, end, 0xa000)
			b.unmap(imageBase + 0xa000)
		}, NoUnwindData, "not mapped"},
		"off the stack":  {func(b *built) { b.function(good, end, b.info(1, 1, 3, 0, 1, 0x11, 0, 0x10, 0, 0)) }, NoStack, "outside"},
		"past the top":   {func(b *built) { b.function(good, end, b.info(append([]byte{1, 1, 240, 0}, bytesOf(0xff, 480)...)...)) }, BadUnwindData, "operation 15"},
		"called another": {func(b *built) { b.function(0x2000, 0x2100, b.info(1, 0, 0, 0)) }, NoUnwindData, "no return address on the top"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt()
			b.withCall()
			tt.build(b)
			images := b.done()
			sp := stackTop - 0x1000
			b.write64(sp, uint64(imageBase)+0x3000, 7, back)
			f := at(0x1050, sp)
			f.Exact = false
			step, err := X64.Step(b.space(), images, f, limits)
			require.Error(t, err)
			assert.Equal(t, tt.want, stopOf(err).Reason, err)
			require.ErrorContains(t, err, tt.text)
			require.ErrorContains(t, err, string(tt.want))
			inside(t, imageBase, step.Read)

			// What a walk finds then is a scan's and called so.
			trace := X64.Walk(b.space(), images, f, limits)
			for _, s := range trace.Steps[:min(1, len(trace.Steps))] {
				assert.Equal(t, Scan, s.How)
			}
			if tt.want != NoStack {
				require.NotEmpty(t, trace.Steps)
				assert.Equal(t, vtop.VA(back), trace.Steps[0].Caller.PC)
			}
		})
	}
}

// Where a walk ends.
func TestEnds(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.function(0x1000, 0x1100, b.info(1, 1, 1, 0, 1, 0x02))
	images := b.done()
	sp := stackTop - 0x1000
	pc := uint64(imageBase) + 0x1050
	b.write64(sp, 0, pc, 0, pc, 0, 0)
	trace := X64.Walk(b.space(), images, at(0x1050, sp), limits)
	assert.Equal(t, AtEnd, trace.Stop.Reason)
	assert.Len(t, trace.Steps, 2)
	assert.True(t, trace.Complete())
	assert.NotEmpty(t, trace.Read, "what the last frame's debugger looks at")

	b.write64(sp+8, 0x4444)
	trace = X64.Walk(b.space(), images, at(0x1050, sp), limits)
	assert.Equal(t, NoModule, trace.Stop.Reason)
	assert.False(t, trace.Complete())

	f := at(0x1050, limits.High-8)
	trace = X64.Walk(b.space(), images, f, limits)
	assert.Equal(t, NoStack, trace.Stop.Reason)
	trace = X64.Walk(b.space(), images, f, Limits{})
	assert.Equal(t, NoStack, trace.Stop.Reason)
	require.ErrorIs(t, trace.Stop, vtop.ErrNotMapped)

	for at := sp; at < stackTop; at += 8 {
		b.write64(at, pc)
	}
	trace = X64.Walk(b.space(), images, at(0x1050, sp), limits)
	assert.Equal(t, TooMany, trace.Stop.Reason)
	assert.Len(t, trace.Steps, MaxFrames)
	assert.Equal(t, "too many frames: "+trace.Stop.At.String(), trace.Stop.Error())

	f = at(0x1050, sp)
	f.User = true
	trace = X64.Walk(b.space(), images, f, limits)
	assert.Equal(t, UserMode, trace.Stop.Reason)
	assert.True(t, trace.Complete())
}
