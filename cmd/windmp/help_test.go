package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/heading"
	"windmp/convert/exitcode"
)

// TestHelpFits: the help of every command fits 80 columns, has examples before flags,
// and ends with the exit codes.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	root := (&app{}).rootCommand()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		var s strings.Builder
		printHelp(&s, cmd)
		help := s.String()
		for line := range strings.Lines(help) {
			assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), helpWidth, "%s: %s", cmd.Name(), line)
		}
		assert.True(t, strings.HasSuffix(help, "\n\n"+exitHelp(cmd)+"\n"), cmd.Name())
		assert.Equal(t, 1, strings.Count(help, "Exit codes:"), cmd.Name())
		if groups := heading.Groups(cmd.LocalFlags()); len(groups) > 0 {
			first := strings.Index(help, "\n"+string(groups[0].Heading)+":\n")
			assert.Greater(t, first, strings.Index(help, "\nExamples:\n"), cmd.Name())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			assert.NotContains(t, f.Usage, "`", "%s --%s", cmd.Name(), f.Name)
		})
	}
}

// TestGroups: flags stand under their headings, in the order of these and of their
// own, and are parsed as they were without.
func TestGroups(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	var changed func(string) bool
	heading.Limits.Put(fs, func(fs *pflag.FlagSet) {
		fs.Int("z", 0, "")
		fs.IntP("a", "a", 0, "")
		changed = fs.Changed
	})
	fs.Bool("own", false, "")
	fs.Bool("help", false, "")
	heading.Dump.Put(fs, func(fs *pflag.FlagSet) { fs.Bool("b", false, "") })

	got := map[heading.Heading][]string{}
	var order []heading.Heading
	for _, g := range heading.Groups(fs) {
		order = append(order, g.Heading)
		g.Flags.VisitAll(func(f *pflag.Flag) { got[g.Heading] = append(got[g.Heading], f.Name) })
	}
	assert.Equal(t, []heading.Heading{heading.Own, heading.Dump, heading.Limits}, order)
	assert.Equal(t, map[heading.Heading][]string{
		heading.Own: {"own", "help"}, heading.Dump: {"b"}, heading.Limits: {"z", "a"},
	}, got)
	require.NoError(t, fs.Parse([]string{"-a", "1"}))
	assert.True(t, changed("a"))
	assert.False(t, changed("z"))

	heading.Printing.Put(fs, func(fs *pflag.FlagSet) { fs.Bool("json", false, "") })
	list := heading.Groups(fs)
	assert.Equal(t, heading.Printing, list[2].Heading)
	assert.NotNil(t, list[2].Flags.Lookup("help"))
}

// TestHeadings: what a dump holds comes before what a file does not say, and a flag is
// listed once.
func TestHeadings(t *testing.T) {
	t.Parallel()
	var s strings.Builder
	assert.Zero(t, run([]string{"convert", "--help"}, &s, io.Discard))
	_, rest, _ := strings.Cut(s.String(), convertLong)
	for _, want := range []string{"\nWhat the dump holds:\n", " --type ", "\nHow it is written:\n", " --dry-run ", "\nWhat is printed:\n", " --json ", "\nWhat the file does not say:\n", " --format ", " --dtb ", "\nA file behind a URL:\n", " --header ", "\nFlags of all commands:\n"} {
		var found bool
		_, rest, found = strings.Cut(rest, want)
		assert.True(t, found, want)
	}
	for _, cmd := range (&app{}).rootCommand().Commands() {
		listed := 0
		for _, g := range heading.Groups(cmd.LocalFlags()) {
			g.Flags.VisitAll(func(*pflag.Flag) { listed++ })
		}
		cmd.LocalFlags().VisitAll(func(*pflag.Flag) { listed-- })
		assert.Zero(t, listed, cmd.Name())
	}
}

// TestFlagsOfPipelines: each of them is a flag of some command.
func TestFlagsOfPipelines(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	root := (&app{}).rootCommand()
	for _, cmd := range root.Commands() {
		cmd.InheritedFlags()
		cmd.Flags().VisitAll(func(f *pflag.Flag) { there[f.Name] = true })
	}
	for _, name := range ofPipelines {
		assert.True(t, there[name], name)
	}
}

// TestEmptyValues: no flag takes an empty value, whatever its type.
func TestEmptyValues(t *testing.T) {
	t.Parallel()
	for _, cmd := range (&app{}).rootCommand().Commands() {
		cmd.InheritedFlags()
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Name == "json" { // which is where it is said
				return
			}
			args := []string{cmd.Name(), "--" + f.Name + "="}
			switch cmd.Name() {
			case "version":
			case "completion":
				args = append(args, "bash")
			case "mount", "vtop":
				args = append(args, "file", "0")
			default:
				args = append(args, "file")
			}
			var errs strings.Builder
			assert.Equal(t, exitcode.Usage, run(args, io.Discard, &errs), "%q", args)
			assert.Contains(t, errs.String(), "--"+f.Name, "%q", args)
		})
	}
}
