package stack_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/write"
	"windmp/internal/qemutest"
	"windmp/vtop"
)

// small is what a guest's triage dump has of it.
func small(t *testing.T, g *guest.Guest) *guest.Guest {
	t.Helper()
	p, err := plan.New(t.Context(), g, plan.Options{Type: plan.OutputTriage})
	require.NoError(t, err)
	var dump bytes.Buffer
	require.NoError(t, write.Stream(t.Context(), &dump, write.Output{Layout: p.Layout(), Memory: p.Memory()}, write.Options{}))
	h, ok := guest.IsTriage(dump.Bytes())
	require.True(t, ok)
	held, err := guest.OpenTriage(t.Context(), h, bytes.NewReader(dump.Bytes()), int64(dump.Len()))
	require.NoError(t, err)
	return held.Guest
}

// walked is what a report says of the stack of what crashed.
func walked(t *testing.T, g *guest.Guest) (*report.Stack, *report.Signature) {
	t.Helper()
	w, s := crashOf(t, g)
	return w.Report(s), w.Sign(s).Report()
}

// framesOf are all frames of a report's stack, as the guest lists them.
func framesOf(s *report.Stack) []place {
	var list []place
	for _, f := range append(append([]report.StackFrame(nil), s.Handlers...), s.Frames...) {
		list = append(list, place{vtop.VA(f.PC), vtop.VA(f.SP)})
	}
	return list
}

// TestSmall: a triage dump holds what a walk needs: its frames, their names and the
// signature are those of the whole guest. One of 0x7e begins at the exception.
func TestSmall(t *testing.T) {
	t.Parallel()
	for _, sample := range qemutest.ImageSamples() {
		t.Run(sample.Name, func(t *testing.T) {
			t.Parallel()
			openCrashed(t, sample.Core(t)).assertSmall(t)
		})
	}
}

// assertSmall compares the guest's triage dump with its list.
func (c *crashed) assertSmall(t *testing.T) {
	t.Helper()
	whole, signature := walked(t, c.guest)
	ours, same := walked(t, small(t, c.guest))
	assert.Equal(t, signature, same)
	list := c.list
	if c.guest.BugCheck().Code == 0x7e {
		list = list[len(whole.Handlers):]
	}
	assert.Equal(t, list, framesOf(ours))
	assert.True(t, ours.Complete)
	require.Len(t, ours.Frames, len(whole.Frames))
	for i, f := range ours.Frames {
		assert.Equal(t, whole.Frames[i].Place, f.Place, "frame %d", i)
	}
}

// TestSmallWithoutHeaders: where the headers of a driver are paged out, what the loader
// noted of it says its version, and leads to its unwind data, in the small dump too.
func TestSmallWithoutHeaders(t *testing.T) {
	t.Parallel()
	core := bytes.Clone(sampleGuest(t, "stack-trap-2cpu"))
	c := openCrashed(t, core)
	c.unmap(t, core, c.module(t, "sprocket.sys").Base)
	whole := &crashed{guest: findGuest(t, core), list: c.list, raised: c.raised}
	_, signature := walked(t, whole.guest)
	require.NotNil(t, signature)
	assert.NotZero(t, signature.Timestamp)
	whole.assertSmall(t)
}
