package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
)

// offered is what a shell is told for a command line that is not finished yet,
// and the directive behind it.
func offered(t *testing.T, args ...string) (list []string, directive string) {
	t.Helper()
	var out strings.Builder
	require.Equal(t, exitcode.Done, run(append([]string{"__complete"}, args...), &out, io.Discard))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines[:len(lines)-1] {
		word, _, _ := strings.Cut(line, "\t")
		list = append(list, word)
	}
	return list, lines[len(lines)-1]
}

// Directives as cobra's scripts read them.
const (
	shellsOwn = ":0"  // files
	nothing   = ":4"  // no files
	inOrder   = ":36" // no files, as listed
)

func TestCompletionOfArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line []string
		want string
	}{
		{[]string{"convert", ""}, shellsOwn},
		{[]string{"convert", "in", ""}, shellsOwn},
		{[]string{"convert", "in", "out", ""}, nothing},
		{[]string{"check", "a", "b", "c", ""}, shellsOwn},
		{[]string{"info", ""}, shellsOwn},
		{[]string{"info", "a", ""}, nothing},
		{[]string{"vtop", "a", ""}, nothing},
		{[]string{"version", ""}, nothing},
		{[]string{"convert", "--jobs", ""}, inOrder},
		{[]string{"convert", "--dtb", ""}, inOrder},
	} {
		list, directive := offered(t, c.line...)
		assert.Empty(t, list, "%q", c.line)
		assert.Equal(t, c.want, directive, "%q", c.line)
	}
	list, directive := offered(t, "completion", "")
	assert.Equal(t, []string{"bash", "zsh", "fish", "powershell"}, list)
	assert.Equal(t, nothing, directive)
}

// TestCompletionOffersWhatIsAccepted asks each command for the values of each
// flag that has some, and holds them against the usage error of a wrong value,
// which names all.
func TestCompletionOffersWhatIsAccepted(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, cmd := range (&app{}).rootCommand().Commands() {
		cmd.InheritedFlags() // makes them part of the command's
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			values, ok := flagValues()[f.Name]
			if !ok {
				return
			}
			seen[f.Name] = true
			list, directive := offered(t, cmd.Name(), "--"+f.Name, "")
			assert.Equal(t, values, list, "%s --%s", cmd.Name(), f.Name)
			assert.Equal(t, inOrder, directive)
			assert.Contains(t, values, f.DefValue, "%s --%s", cmd.Name(), f.Name)
			args := []string{cmd.Name(), "--" + f.Name + "=bogus", "file"}
			if cmd.Name() == "vtop" || cmd.Name() == "mount" {
				args = append(args, "0")
			}
			var errs strings.Builder
			require.Equal(t, exitcode.Usage, run(args, io.Discard, &errs))
			assert.Contains(t, errs.String(), strings.TrimPrefix(strings.Join(values, ", "), "auto, "), "%q", args)
		})
	}
	for name := range flagValues() {
		assert.True(t, seen[name], "a command has --%s", name)
	}
}
