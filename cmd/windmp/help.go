package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/heading"
)

// helpWidth is the width of a help text.
const helpWidth = 80

// printHelp prints the help of a command: what it does, how it is called, examples, what
// there is to know, and the exit codes last.
func printHelp(w io.Writer, cmd *cobra.Command) {
	var s strings.Builder
	fmt.Fprintf(&s, "%s.\n\nUsage:\n  %s\n", cmd.Short, cmd.UseLine())
	section := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(&s, "\n%s%s\n", title, text)
		}
	}
	section("Examples:\n", cmd.Example)
	section("", cmd.Long)
	section("Commands:\n", commandList(cmd))
	for _, g := range heading.Groups(cmd.LocalFlags()) {
		section(string(g.Heading)+":\n", g.Flags.FlagUsagesWrapped(helpWidth))
	}
	section("Flags of all commands:\n", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth))
	if list := variablesOf(cmd); len(list) > 0 {
		section("Environment, in place of the flags of these names:\n", wrapped(strings.Join(list, " ")))
	}
	if cmd.Flags().Lookup("format") != nil {
		section("", strings.ReplaceAll(wrapped(systemVariables), "\n  ", "\n")[2:])
	}
	section("", exitHelp(cmd))
	_, _ = io.WriteString(w, s.String()) // nobody is there to be told
}

// exitCodes is the table of package exitcode for people; the README repeats it. What else
// than FAIL is an error depends on the command.
const exitCodes = `Exit codes:
  0    done
  1    the operation failed (input/output error, no space)
  2    usage: an option, an argument, an output that exists
  3    the verdict is FAIL: no dump worth opening can be made%s
  4    the input is not recognised or not supported
  130  interrupted`

// exitHelp is the table with the flags that the command has; for all commands, with all.
func exitHelp(cmd *cobra.Command) string {
	has := func(flag string) bool { return !cmd.HasParent() || cmd.Flags().Lookup(flag) != nil }
	also := ""
	switch {
	case has("fail-on-unknown"):
		also = " (with --strict\n       also WARN and UNKNOWN, with --fail-on-unknown also UNKNOWN)"
	case has("strict"):
		also = " (with --strict\n       also WARN)"
	}
	return fmt.Sprintf(exitCodes, also)
}

// systemVariables are those that are not windmp's own.
const systemVariables = "NO_COLOR and TERM=dumb switch colours off; packed files are unpacked to TMPDIR (Windows: TMP)."

// commandList lists the commands below a command.
func commandList(cmd *cobra.Command) string {
	var s strings.Builder
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&s, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
	return s.String()
}

// wrapped are words in lines of the help, indented.
func wrapped(words string) string {
	var s strings.Builder
	line := " "
	for _, word := range strings.Fields(words) {
		if len(line)+1+len(word) > helpWidth {
			s.WriteString(line + "\n")
			line = " "
		}
		line += " " + word
	}
	s.WriteString(line + "\n")
	return s.String()
}
