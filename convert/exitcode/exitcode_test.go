package exitcode_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/physmem"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		code int
	}{
		{nil, exitcode.Done},
		{errors.New("input/output error"), exitcode.Failed},
		{&physmem.ReadError{Err: errors.New("input/output error")}, exitcode.Failed},
		{&stage.UsageError{Reason: "no"}, exitcode.Usage},
		{&atomicfile.TargetError{Path: "a", Err: atomicfile.ErrExists}, exitcode.Usage},
		{&finding.RefusedError{}, exitcode.Verdict},
		{&physmem.FormatError{}, exitcode.Verdict},
		{&finding.RefusedError{Unsupported: true}, exitcode.Unsupported},
		{&physmem.UnknownFormatError{}, exitcode.Unsupported},
		{&physmem.UnsupportedError{}, exitcode.Unsupported},
		{&physmem.SnapshotError{}, exitcode.Unsupported},
		{context.Canceled, exitcode.Interrupted},
	} {
		wrapped := tc.err
		if wrapped != nil {
			wrapped = fmt.Errorf("a: %w", &stage.Error{Stage: stage.Open, Err: tc.err})
		}
		assert.Equal(t, tc.code, exitcode.Of(wrapped), "%v", tc.err)
	}
}

// TestOfFile: a file that could not be read is no verdict; one that is damaged has one.
func TestOfFile(t *testing.T) {
	t.Parallel()
	assert.Equal(t, exitcode.Done, exitcode.OfFile(nil, false))
	assert.Equal(t, exitcode.Verdict, exitcode.OfFile(nil, true))
	assert.Equal(t, exitcode.Verdict, exitcode.OfFile(&physmem.FormatError{}, true))
	assert.Equal(t, exitcode.Failed, exitcode.OfFile(errors.New("gone"), true))
	assert.Equal(t, exitcode.Unsupported, exitcode.OfFile(&physmem.UnknownFormatError{}, true))
	assert.Equal(t, exitcode.Interrupted, exitcode.OfFile(context.Canceled, false))
}

func TestWorst(t *testing.T) {
	t.Parallel()
	assert.Equal(t, exitcode.Done, exitcode.Worst())
	assert.Equal(t, exitcode.Done, exitcode.Worst(exitcode.Done, exitcode.Done))
	order := []int{exitcode.Done, exitcode.Usage, exitcode.Unsupported, exitcode.Verdict, exitcode.Failed, exitcode.Interrupted}
	for i := range order {
		assert.Equal(t, order[i], exitcode.Worst(order[:i+1]...))
	}
}
