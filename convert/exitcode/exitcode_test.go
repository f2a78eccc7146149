package exitcode_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

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
		{&physmem.OptionError{Option: "snapshot", Reason: "no"}, exitcode.Usage},
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
		if got := exitcode.Of(wrapped); got != tc.code {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.code)
		}
	}
}

// TestOfFile: a file that could not be read is no verdict; one that is damaged has one.
func TestOfFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err     error
		refused bool
		code    int
	}{
		{nil, false, exitcode.Done},
		{nil, true, exitcode.Verdict},
		{&physmem.FormatError{}, true, exitcode.Verdict},
		{errors.New("gone"), true, exitcode.Failed},
		{&physmem.UnknownFormatError{}, true, exitcode.Unsupported},
		{&stage.UsageError{Reason: "no"}, false, exitcode.Usage},
		{context.Canceled, false, exitcode.Interrupted},
	} {
		if got := exitcode.OfFile(tc.err, tc.refused); got != tc.code {
			t.Errorf("%v, %v: %d, want %d", tc.err, tc.refused, got, tc.code)
		}
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	order := []int{exitcode.Done, exitcode.Usage, exitcode.Unsupported, exitcode.Verdict, exitcode.Failed, exitcode.Interrupted}
	for i, want := range order {
		if got := exitcode.Worst(order[:i+1]...); got != want {
			t.Errorf("of %v: %d", order[:i+1], got)
		}
	}
	if got := exitcode.Worst(); got != exitcode.Done {
		t.Errorf("of none: %d", got)
	}
}
