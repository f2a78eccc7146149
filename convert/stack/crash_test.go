package stack_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/plan"
	"windmp/convert/stack"
	"windmp/internal/qemutest"
	"windmp/vtop"
)

// crash is the stack of what crashed, and its signature.
func (c *crashed) crash(t *testing.T) (*stack.Stack, *stack.Signature) {
	t.Helper()
	w, ok := stack.New(c.guest)
	require.True(t, ok)
	cpus, shown := plan.Stacks(c.guest)
	s, ok := w.Crash(cpus, shown)
	require.True(t, ok)
	return s, w.Sign(s)
}

// instruction is the address at which the bug check's parameters say that it happened, as
// the guest sets them; else the return address of the driver's call of KeBugCheckEx.
func (c *crashed) instruction() vtop.VA {
	bc := c.guest.BugCheck()
	if n, ok := map[uint32]int{0xd1: 4, 0x50: 3, 0x7e: 2, 0x3b: 2}[bc.Code]; ok {
		return vtop.VA(bc.Parameters[n-1])
	}
	return c.list[1].pc
}

// assertCrash: the frames of a crash are the guest's, split where it happened, and the
// signature is of the driver that was there.
func (c *crashed) assertCrash(t *testing.T) {
	t.Helper()
	s, sign := c.crash(t)
	var all []place
	for _, f := range s.All() {
		all = append(all, place{f.PC, f.SP})
	}
	assert.Equal(t, c.list, all)
	assert.Equal(t, c.raised.Index, s.Processor)
	assert.True(t, s.Complete(), s.Stop)

	at, first := c.instruction(), s.Frames[0].PC
	if c.guest.BugCheck().Code == 0xe2 {
		assert.Empty(t, s.Handlers)
		first = s.Frames[1].PC
	}
	assert.Equal(t, at, first)
	require.NotNil(t, sign)
	m := c.module(t, "sprocket.sys")
	assert.Equal(t, c.guest.BugCheck().Code, sign.Code)
	assert.Equal(t, "sprocket.sys", sign.Place.File)
	assert.Equal(t, uint64(at-m.Base), sign.Place.RVA)
	assert.Equal(t, m.Size, sign.Size)
	assert.NotZero(t, sign.Timestamp)
}

func TestCrash(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ImageSamples() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			openCrashed(t, s.Core(t)).assertCrash(t)
		})
	}
}

// TestMovedSignature: the same crash has the same signature on another machine, where
// every image lies elsewhere, and on another processor.
func TestMovedSignature(t *testing.T) {
	t.Parallel()
	here, there := openCrashed(t, sampleGuest(t, "stack-trap-2cpu")), openCrashed(t, sampleGuest(t, "stack-moved-1cpu"))
	for _, name := range []string{"ntoskrnl.exe", "gizmo.sys", "sprocket.sys"} {
		require.NotEqual(t, here.module(t, name).Base, there.module(t, name).Base)
	}
	_, a := here.crash(t)
	_, b := there.crash(t)
	require.NotNil(t, a)
	assert.Equal(t, a.Report(), b.Report())
}
