package unwind

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

// Forms of a call (Intel SDM vol. 2, CALL), each right before 0x7110, and what only
// looks like one.
func TestReturnCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code []byte
		want returnCheck
	}{
		"rel32":                {[]byte{0xe8, 0, 0, 0, 0}, behindOne},
		"rel32 out of images":  {[]byte{0xe8, 0, 0, 0, 0x70}, noReturn},
		"register":             {[]byte{0x90, 0xff, 0xd0}, behindOne},
		"register with REX":    {[]byte{0x41, 0xff, 0xd4}, behindOne},
		"memory":               {[]byte{0x90, 0xff, 0x13}, behindOne},
		"memory, SIB":          {[]byte{0x90, 0xff, 0x14, 0xc8}, behindOne},
		"memory, SIB, disp32":  {[]byte{0xff, 0x14, 0xc5, 1, 2, 3, 4}, behindOne},
		"disp8":                {[]byte{0x90, 0xff, 0x50, 0x18}, behindOne},
		"SIB, disp8":           {[]byte{0x90, 0xff, 0x54, 0x24, 0x18}, behindOne},
		"rip":                  {[]byte{0xff, 0x15, 1, 2, 3, 4}, behindOne},
		"disp32":               {[]byte{0xff, 0x90, 1, 2, 3, 4}, behindOne},
		"SIB, disp32":          {[]byte{0xff, 0x94, 0x24, 1, 2, 3, 4}, behindOne},
		"jump":                 {[]byte{0xff, 0xe0}, noReturn},
		"longer than it says":  {[]byte{0xff, 0x50, 0x18, 0x90}, noReturn},
		"shorter than it says": {[]byte{0x90, 0x90, 0xff, 0x54, 0x24}, noReturn},
		"nothing":              {[]byte{0x90}, noReturn},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilt()
			images := b.done()
			b.code(0x7110-uint32(len(tt.code)), tt.code...)
			w := &walk{m: X64, space: b.space(), images: images}
			assert.Equal(t, tt.want, w.checkReturn(imageBase+0x7110))
		})
	}
	b := newBuilt()
	images := b.done()
	b.code(0x2ffb, 0xe8, 0, 0, 0, 0)
	b.write(imageBase+0x9000, []byte{0xe8, 0, 0, 0, 0})
	w := &walk{m: X64, space: b.space(), images: images}
	assert.Equal(t, behindOne, w.checkReturn(imageBase+0x3000))
	assert.Equal(t, noReturn, w.checkReturn(imageBase+0x9005), "no code there")
	assert.Equal(t, noReturn, w.checkReturn(imageBase+3))
	assert.Equal(t, noReturn, w.checkReturn(imageBase+imageSize))
	b.code(0x6000, 0xe8, 0xfb, 0x9f, 0x0f, 0)
	assert.Equal(t, noReturn, w.checkReturn(imageBase+0x6005))
	b.write(imageBase+0x100000, []byte{0xff, 0xe0})
	assert.Equal(t, behindOne, w.checkReturn(imageBase+0x6005), "a stub behind the image")
	b.unmap(imageBase + 0x2000)
	assert.Equal(t, maybe, w.checkReturn(imageBase+0x3000))
}

func TestScan(t *testing.T) {
	t.Parallel()
	b := newBuilt()
	b.withCall()
	b.code(0x2ffb, 0xe8, 0, 0, 0, 0)
	images := b.done()
	sp := stackTop - 0x1000
	// An address of a page is none, even behind a call; nor are data, and a word that is
	// not aligned.
	b.write64(sp+0x10, uint64(imageBase)+0x3000, uint64(imageBase)+0x9010)
	b.write64(sp+0x804, back)
	b.write64(sp+0xf00, back)
	step, err := X64.Scan(b.space(), images, at(0x1050, sp+3), limits)
	require.NoError(t, err)
	assert.Equal(t, Step{Caller: Frame{PC: vtop.VA(back), SP: sp + 0xf08, Known: 1 << rsp, Registers: [32]uint64{rsp: uint64(sp) + 0xf08}}, How: Scan}, step)

	_, err = X64.Scan(b.space(), images, step.Caller, limits)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
	_, err = X64.Scan(b.space(), images, step.Caller, Limits{})
	assert.Equal(t, NoStack, stopOf(err).Reason, "it ends where the stack does")
	_, err = X64.Scan(b.space(), images, at(0x1050, 0x1000), Limits{})
	assert.Equal(t, NoStack, stopOf(err).Reason, "not the kernel's")

	// A bad pointer was called: the return address is on the top.
	b.write64(sp, back)
	for _, pc := range []vtop.VA{0, 0x1234, imageBase + 2*imageSize} {
		f := at(0, sp)
		f.PC = pc
		trace := X64.Walk(b.space(), images, f, limits)
		require.NotEmpty(t, trace.Steps)
		assert.Equal(t, Scan, trace.Steps[0].How)
		assert.Equal(t, sp+8, trace.Steps[0].Caller.SP)
	}
}

// With the exception directory wiped, in any way, no frame is called an unwind.
func TestWiped(t *testing.T) {
	t.Parallel()
	s := loadSnapshots(t)
	for name, wipe := range map[string]func(*memory, *Image){
		"zeros": func(m *memory, im *Image) {
			h, err := im.Headers(m.space(), X64.Format)
			require.NoError(t, err)
			m.write(h.Base+vtop.VA(h.Functions.RVA), make([]byte, h.Functions.Size))
		},
		"paged out": func(m *memory, im *Image) {
			h, err := im.Headers(m.space(), X64.Format)
			require.NoError(t, err)
			m.unmap(h.Base + vtop.VA(h.Functions.RVA))
		},
		"headers paged out": func(m *memory, im *Image) { m.unmap(im.Base) },
		"unwind data paged out": func(m *memory, im *Image) {
			h, err := im.Headers(m.space(), X64.Format)
			require.NoError(t, err)
			for _, x := range h.Sections {
				if x.Name == ".xdata" {
					m.unmap(h.Base + vtop.VA(x.RVA))
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, images := s.load()
			for _, im := range images.images {
				wipe(m, im)
			}
			x := &s.Snapshots[10]
			m.write(x.Memory.At, s.get(x.Memory))
			trace := X64.Walk(m.space(), images, x.State.frame(), x.Stack)
			require.NotEmpty(t, trace.Steps)
			for _, step := range trace.Steps {
				assert.Equal(t, Scan, step.How)
			}
		})
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	l := NewList([]*Image{{Base: 0x5000, Size: 0x1000}, {Base: 0x1000, Size: 0x3000}, {Base: 0x2000, Size: 0x100}})
	for va, want := range map[vtop.VA]vtop.VA{0x1000: 0x1000, 0x1fff: 0x1000, 0x2050: 0x2000, 0x5000: 0x5000, 0x5fff: 0x5000} {
		im, ok := l.At(va)
		require.True(t, ok, "%#x", va)
		assert.Equal(t, want, im.Base)
	}
	for _, va := range []vtop.VA{0, 0xfff, 0x2100, 0x4000, 0x6000, ^vtop.VA(0)} {
		_, ok := l.At(va)
		assert.False(t, ok, "%#x", va)
	}
}
