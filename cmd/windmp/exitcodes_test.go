package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
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
