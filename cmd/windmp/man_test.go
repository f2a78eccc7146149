package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/heading"
)

// The man pages are made by a test and committed, so that the program carries no
// renderer and a package needs no program of another architecture.
var updateMan = flag.Bool("update-man", false, "write docs/man anew from the commands")

const manDir = "../../docs/man"

// exitLine is a row of exitHelp: the code, and what it means.
var exitLine = regexp.MustCompile(`(?m)^  (\d+) +(.*(?:\n {7}.*)*)`)

// manPage renders one command's page, in the macros of man(7).
func manPage(cmd *cobra.Command) string {
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { f.Hidden = true }) // optionSection has them
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	return ".nh\n.TH \"" + strings.ToUpper(name) + "\" \"1\" \"\" \"windmp\" \"windmp manual\"\n\n" +
		".SH NAME\n" + name + " - " + cmd.Short + "\n\n\n" +
		".SH SYNOPSIS\n\\fB" + cmd.UseLine() + "\\fP\n\n\n" +
		".SH DESCRIPTION\n" + strings.ReplaceAll(cmd.Long, "\n\n", "\n\n.PP\n") + "\n\n\n" +
		commandSection(cmd) + optionSection(cmd) + environmentSection(cmd) + exampleSection(cmd) + exitSection(cmd) + seeAlso(cmd)
}

// exampleSection has the examples, to be copied into a shell. Hyphens, quotes, accents and
// tildes stay as they are: groff prints those of its own alphabet, which no shell knows,
// unless a distribution has it otherwise.
func exampleSection(cmd *cobra.Command) string {
	if cmd.Example == "" {
		return ""
	}
	text := strings.TrimPrefix(strings.ReplaceAll(cmd.Example, "\n  ", "\n"), "  ")
	asIs := strings.NewReplacer(`\`, `\\`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "~", `\(ti`, "^", `\(ha`)
	return ".SH EXAMPLE\n.EX\n" + asIs.Replace(text) + "\n.EE\n\n"
}

// seeAlso names the page of the program, or those of its commands.
func seeAlso(cmd *cobra.Command) string {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, cmd.Parent().Name())
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			pages = append(pages, cmd.Name()+"-"+c.Name())
		}
	}
	for i, name := range pages {
		pages[i] = `\fB` + name + `(1)\fP`
	}
	return ".SH SEE ALSO\n" + strings.Join(pages, ", ") + "\n"
}

// commandSection lists the commands below a command.
func commandSection(cmd *cobra.Command) string {
	var s strings.Builder
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			s.WriteString(".TP\n\\fB" + c.Name() + "\\fP\n" + c.Short + "\n")
		}
	}
	if s.Len() == 0 {
		return ""
	}
	return ".SH COMMANDS\n" + s.String()
}

// optionSection lists a command's flags in the order of its help, those of all
// commands last.
func optionSection(cmd *cobra.Command) string {
	var s strings.Builder
	s.WriteString(".SH OPTIONS\n")
	list := func(f *pflag.Flag) {
		s.WriteString(".TP\n")
		if f.Shorthand != "" {
			s.WriteString(`\fB\-` + f.Shorthand + `\fP, `)
		}
		value, usage := pflag.UnquoteUsage(f)
		s.WriteString(`\fB\-\-` + strings.ReplaceAll(f.Name, "-", `\-`) + `\fP`)
		if value != "" {
			s.WriteString(`=\fI` + value + `\fP`)
		}
		s.WriteString("\n" + strings.ReplaceAll(usage, "-", `\-`))
		switch f.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			s.WriteString(" (default " + f.DefValue + ")")
		}
		s.WriteString("\n")
	}
	for _, g := range heading.Groups(cmd.LocalFlags()) {
		s.WriteString(".SS " + string(g.Heading) + "\n")
		g.Flags.VisitAll(list)
	}
	if cmd.HasInheritedFlags() {
		s.WriteString(".SS Flags of all commands\n")
	}
	cmd.InheritedFlags().VisitAll(list)
	return s.String()
}

// environmentSection lists the variables that a command knows.
func environmentSection(cmd *cobra.Command) string {
	var s strings.Builder
	for _, name := range variablesOf(cmd) {
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "WINDMP_")), "_", `\-`)
		s.WriteString(".TP\n\\fB" + name + "\\fP\nthe value of \\fB\\-\\-" + flag + "\\fP where that is not given\n")
	}
	if cmd.Flags().Lookup("format") != nil {
		s.WriteString(".TP\n\\fBTMPDIR\\fP\nthe folder that packed files are unpacked to (Windows: TMP)\n.TP\n\\fBNO_COLOR\\fP\nno colours\n")
	}
	if s.Len() == 0 {
		return ""
	}
	return ".SH ENVIRONMENT\n" + s.String()
}

// exitSection is exitHelp as a section of a page.
func exitSection(cmd *cobra.Command) string {
	var s strings.Builder
	s.WriteString(".SH EXIT STATUS\n")
	for _, m := range exitLine.FindAllStringSubmatch(exitHelp(cmd), -1) {
		text := strings.ReplaceAll(strings.Join(strings.Fields(m[2]), " "), "-", `\-`)
		s.WriteString(".TP\n\\fB" + m[1] + "\\fP\n" + text + "\n")
	}
	return s.String()
}

// manCommands are the commands that have a page.
func manCommands() []*cobra.Command {
	root := (&app{}).rootCommand()
	return append([]*cobra.Command{root}, root.Commands()...)
}

// TestManPagesAreOfTheCommands keeps docs/man and the flags in step.
func TestManPagesAreOfTheCommands(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, cmd := range manCommands() {
		path := filepath.Join(manDir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		want[path] = true
		page := manPage(cmd)
		if *updateMan {
			require.NoError(t, os.MkdirAll(manDir, 0o755))
			require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
		}
		committed, err := os.ReadFile(path)
		require.NoError(t, err, "go test ./cmd/windmp -run Man -update-man")
		assert.Equal(t, string(committed), page, "go test ./cmd/windmp -run Man -update-man")
	}
	pages, err := filepath.Glob(filepath.Join(manDir, "*.1"))
	require.NoError(t, err)
	for _, path := range pages {
		assert.True(t, want[path], "%s is of no command", path)
	}
}

// TestManPagesNameAll looks for what a reader of a page needs.
func TestManPagesNameAll(t *testing.T) {
	t.Parallel()
	for _, cmd := range manCommands() {
		assert.NotRegexp(t, `(?m)^[.']|\\`, cmd.Short+"\n"+cmd.Long, "%s: roff would take it for its own", cmd.CommandPath())
		page := manPage(cmd)
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			assert.Contains(t, page, `\fB\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fP`, "%s", cmd.CommandPath())
		})
		for _, code := range []string{"0", "1", "2", "3", "4", "130"} {
			assert.Contains(t, page, "\n.TP\n\\fB"+code+"\\fP\n", "%s", cmd.CommandPath())
		}
	}
}
