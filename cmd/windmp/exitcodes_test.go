package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/physmem"
)

var (
	exitRow  = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]*) \|`)
	exitText = regexp.MustCompile(`(?s)[:;(].*`)
)

// exitMeanings are the codes of a table, by code what stands before the details.
func exitMeanings(rows [][]string) map[int]string {
	all := map[int]string{}
	for _, m := range rows {
		code, _ := strconv.Atoi(m[1]) // the expression takes digits only
		all[code] = strings.TrimSpace(exitText.ReplaceAllString(m[2], ""))
	}
	return all
}

// TestExitCodesAreOneTable: the help of every command, docs/exit-codes.md and the
// README say the same of the same codes.
func TestExitCodesAreOneTable(t *testing.T) {
	t.Parallel()
	help := exitMeanings(exitLine.FindAllStringSubmatch(exitHelp((&app{}).rootCommand()), -1))
	for _, code := range []int{exitcode.Done, exitcode.Failed, exitcode.Usage, exitcode.Verdict, exitcode.Unsupported, exitcode.Interrupted} {
		assert.NotEmpty(t, help[code], "exit code %d", code)
	}
	assert.Len(t, help, 6)
	assert.Equal(t, help, exitMeanings(exitRow.FindAllStringSubmatch(readDoc(t, "docs/exit-codes.md"), -1)))
	_, table, found := strings.Cut(readDoc(t, "README.md"), "| exit code | meaning |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	assert.Equal(t, help, exitMeanings(exitRow.FindAllStringSubmatch(table, -1)))

	for _, cmd := range append((&app{}).rootCommand().Commands(), (&app{}).rootCommand()) {
		args := strings.Fields(cmd.CommandPath() + " --help")[1:]
		var out, errs strings.Builder
		require.Equal(t, exitcode.Done, run(args, &out, &errs))
		assert.Contains(t, out.String(), exitHelp(cmd), "%v", args)
		for _, flag := range []string{"strict", "fail-on-unknown"} {
			isKnown := cmd.Flags().Lookup(flag) != nil || !cmd.HasParent()
			assert.Equal(t, isKnown, strings.Contains(exitHelp(cmd), "--"+flag), "%v: the exit codes name flags of the command", args)
		}
		assert.Empty(t, errs.String())
	}
}

// TestExitCodeOf: an error has its code however it is wrapped.
func TestExitCodeOf(t *testing.T) {
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
		assert.Equal(t, tc.code, exitcode.Of(wrapped), "%v", tc.err)
	}
}

// TestExitCodeOfFile: a file that could not be read is no verdict; one that is damaged has one.
func TestExitCodeOfFile(t *testing.T) {
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
		assert.Equal(t, tc.code, exitcode.OfFile(tc.err, tc.refused), "%v, %v", tc.err, tc.refused)
	}
}

// TestExitCodeOfSeveral: a run over several files ends with the gravest code.
func TestExitCodeOfSeveral(t *testing.T) {
	t.Parallel()
	order := []int{exitcode.Done, exitcode.Usage, exitcode.Unsupported, exitcode.Verdict, exitcode.Failed, exitcode.Interrupted}
	for i, want := range order {
		assert.Equal(t, want, exitcode.Worst(order[:i+1]...), "of %v", order[:i+1])
	}
	assert.Equal(t, exitcode.Done, exitcode.Worst(), "of none")
}
