package stack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/qemutest"
	"windmp/vtop"
)

// small converts a vmcore to a triage dump.
func small(t *testing.T, core string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "small.dmp")
	_, err := convert.File(t.Context(), core, out, convert.Options{Plan: plan.Options{Type: plan.OutputTriage}})
	require.NoError(t, err)
	return out
}

// walked is what windmp says of a file's stack.
func walked(t *testing.T, path string) (*report.Stack, *report.Signature) {
	t.Helper()
	r, err := inspect.Stack(t.Context(), source.File(path), inspect.StackOptions{})
	require.NoError(t, err)
	require.Len(t, r.Stacks, 1)
	return &r.Stacks[0], r.Signature
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
			core := filepath.Join(t.TempDir(), "core")
			require.NoError(t, os.WriteFile(core, sample.Core(t), 0o600))
			openCrashed(t, sample.Core(t)).assertSmall(t, core)
		})
	}
}

// assertSmall compares the triage dump of a vmcore with the guest's list.
func (c *crashed) assertSmall(t *testing.T, core string) {
	t.Helper()
	whole, signature := walked(t, core)
	ours, same := walked(t, small(t, core))
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
	path := filepath.Join(t.TempDir(), "core")
	require.NoError(t, os.WriteFile(path, core, 0o600))
	_, signature := walked(t, path)
	require.NotNil(t, signature)
	assert.NotZero(t, signature.Timestamp)
	whole := &crashed{guest: findGuest(t, core), list: c.list, raised: c.raised}
	whole.assertSmall(t, path)
}
