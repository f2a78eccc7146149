package unwind

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// builtARM64 is an image of 64-bit Arm without headers in memory, with calls before
// imageBase+0x7104 and 0x7204, and a stack.
func builtARM64() (*memory, *List) {
	m := newMemory()
	m.write(imageBase+textRVA, make([]byte, 0x7000))
	m.write32(imageBase+0x7100, 0x97fe66ed) // bl
	m.write32(imageBase+0x7200, 0xd63f0100) // blr x8
	m.write(limits.Low, make([]byte, limits.High-limits.Low))
	return m, NewList([]*Image{{Base: imageBase, Size: imageSize}})
}

// atARM64 is a state in the image, all registers known.
func atARM64(sp, fp vtop.VA) Frame {
	c := &wincontext.ContextARM64{ContextFlags: wincontext.ContextFullARM64, Cpsr: 0x60000144, Pc: uint64(imageBase) + 0x1050, Sp: uint64(sp), Fp: uint64(fp), Lr: 0x1111}
	for i := range c.X {
		c.X[i] = 0x100 + uint64(i)
	}
	f, _ := ARM64.Frame(c)
	return f
}

func TestFrameARM64(t *testing.T) {
	t.Parallel()
	f := atARM64(limits.Low+0x100, limits.Low+0x200)
	assert.Equal(t, ^uint32(0), f.Known)
	assert.EqualValues(t, 0x11c, f.Registers[28])
	assert.Equal(t, uint64(limits.Low+0x200), f.Registers[29])
	assert.EqualValues(t, 0x1111, f.Registers[30])
	assert.Equal(t, limits.Low+0x100, f.SP)
	assert.True(t, f.Exact)
	assert.False(t, f.User)
	for _, cpsr := range []uint32{0, 0x10, 0x1f, 8} {
		f, ok := ARM64.Frame(&wincontext.ContextARM64{Cpsr: cpsr})
		require.True(t, ok)
		assert.True(t, f.User, "%#x: of EL0, of 32 bits, or no kernel's", cpsr)
	}
	_, ok := ARM64.Frame(new(wincontext.Context64))
	assert.False(t, ok)
}

// TestChainARM64: x29 leads from frame to frame, return addresses may be signed.
func TestChainARM64(t *testing.T) {
	t.Parallel()
	m, images := builtARM64()
	one, two, three := limits.Low+0x200, limits.Low+0x400, limits.Low+0x600
	const pac = 0x007f_0000_0000_0000 // below bit 55, which is set in the kernel's half
	m.write64(one, uint64(two), (uint64(imageBase)+0x7104)&^(pac|0x7f00<<48)|0x2a<<48|1<<55)
	m.write64(two, uint64(three), uint64(imageBase)+0x7204)
	m.write64(three, 0, 0)
	trace := ARM64.Walk(m.space(), images, atARM64(limits.Low+0x100, one), limits)
	require.Len(t, trace.Steps, 2)
	assert.Equal(t, AtEnd, trace.Stop.Reason)
	assert.True(t, trace.Complete())
	for i, want := range []struct{ pc, sp, fp vtop.VA }{{imageBase + 0x7104, one + 16, two}, {imageBase + 0x7204, two + 16, three}} {
		c := trace.Steps[i].Caller
		assert.Equal(t, FramePointer, trace.Steps[i].How)
		assert.Equal(t, want.pc, c.PC)
		assert.Equal(t, want.sp, c.SP)
		assert.Equal(t, uint64(want.fp), c.Registers[fpARM64])
		assert.Equal(t, uint32(1<<fpARM64|1<<spARM64), c.Known, "nobody knows who saved the others")
	}

	// No frame: below the stack pointer, askew, off the stack; and what returns to no call.
	for fp, want := range map[vtop.VA]Reason{limits.Low + 0xf8: NoFrame, one + 4: NoFrame, limits.High: NoFrame, 0: AtEnd} {
		_, err := ARM64.Step(m.space(), images, atARM64(limits.Low+0x100, fp), limits)
		assert.Equal(t, want, stopOf(err).Reason, "%v", fp)
	}
	m.write64(one, uint64(two), uint64(imageBase)+0x7108)
	_, err := ARM64.Step(m.space(), images, atARM64(limits.Low+0x100, one), limits)
	assert.Equal(t, NoFrame, stopOf(err).Reason)
	f := atARM64(limits.Low+0x100, one)
	f.Known &^= 1 << fpARM64
	_, err = ARM64.Step(m.space(), images, f, limits)
	assert.Equal(t, UnknownRegister, stopOf(err).Reason)
}

// TestTrapARM64: KTRAP_FRAME as dotnet/runtime's unwinder states it, by numbers.
func TestTrapARM64(t *testing.T) {
	t.Parallel()
	m, _ := builtARM64()
	at := limits.Low + 0x800
	for i := range vtop.VA(0x150 / 8) {
		m.write64(at+8*i, 0x1000+uint64(i))
	}
	m.write32(at+0x90, 0x60000144, 0x9600004f)
	m.write64(at+0x98, uint64(limits.Low+0xa00))
	m.write64(at+0x148, uint64(imageBase)+0x1234)
	f, err := ARM64.TrapFrame(m.space(), at)
	require.NoError(t, err)
	assert.Equal(t, imageBase+0x1234, f.PC)
	assert.Equal(t, limits.Low+0xa00, f.SP)
	assert.EqualValues(t, 0x1000+0xa0/8, f.Registers[0])
	assert.EqualValues(t, 0x1000+0x130/8, f.Registers[18])
	assert.False(t, f.Has(19))
	assert.EqualValues(t, 0x1000+0x138/8, f.Registers[lrARM64])
	assert.EqualValues(t, 0x1000+0x140/8, f.Registers[fpARM64])
	assert.True(t, f.Exact)
	assert.False(t, f.User)
	for spsr, ok := range map[uint32]bool{0x20000000: true, 0x10: true, 0x145: true, 0x146: false, 0x9: false, 0x1: false} {
		m.write32(at+0x90, spsr)
		f, err := ARM64.TrapFrame(m.space(), at)
		assert.Equal(t, ok, err == nil, "%#x", spsr)
		assert.Equal(t, ok && spsr != 0x145, f.User, "%#x", spsr)
	}
}

func TestCallsARM64(t *testing.T) {
	t.Parallel()
	m, images := builtARM64()
	w := &walk{m: ARM64, space: m.space(), images: images}
	for code, want := range map[uint32]returnCheck{
		0x94000001: behindOne, 0x97ffffff: behindOne, 0x14000001: noReturn, // bl, bl back, b
		0xd63f0000: behindOne, 0xd63f03c0: behindOne, 0xd61f0000: noReturn, // blr x0, x30; br
		0xd63f0bff: behindOne, 0xd73f0902: behindOne, 0xd65f03c0: noReturn, // blraaz, blraa; ret
	} {
		m.write32(imageBase+0x7300, code)
		assert.Equal(t, want, w.checkReturn(imageBase+0x7304), "%#x", code)
	}
}

// TestPAC: what pointer authentication leaves of an address depends on how many bits a
// half has; bit 55 says which half it is.
func TestPAC(t *testing.T) {
	t.Parallel()
	for signed, want := range map[uint64][2]vtop.VA{
		0x2a407ff612340120: {0x7ff612340120, 0x7ff612340120},
		0x7fb5f803f3410120: {0xfffff803f3410120, 0xfffff803f3410120},
		0x2abf7803f3410120: {0xfffff803f3410120, 0xffff7803f3410120}, // bit 47 is signed, or an address'
		0x2a40fff612340120: {0x00007ff612340120, 0x0000fff612340120},
	} {
		for i, mode := range []*vtop.Mode{vtop.ARM64, vtop.ARM64Wide} {
			w := &walk{space: &vtop.Space{Mode: mode}}
			assert.Equal(t, want[i], w.withoutPAC(signed), "%#x, %s", signed, mode.Name)
		}
	}
}
