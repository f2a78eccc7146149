package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
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
	section("", strings.TrimSuffix(cmd.Long, exitHelp))
	section("Commands:\n", commandList(cmd))
	section("Flags:\n", cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
	section("Flags of all commands:\n", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth))
	if list := variablesOf(cmd); len(list) > 0 {
		section("Environment, in place of the flags of these names:\n", wrapped(strings.Join(list, " ")))
	}
	if cmd.Flags().Lookup("format") != nil {
		section("", strings.ReplaceAll(wrapped(systemVariables), "\n  ", "\n")[2:])
	}
	section("", exitHelp)
	_, _ = io.WriteString(w, s.String()) // nobody is there to be told
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
