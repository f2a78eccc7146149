package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/convert/cause"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

// usageArgs makes a wrong number of arguments, or one that is empty, a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		_, takes, _ := strings.Cut(cmd.Use, " ")
		if takes == "" {
			takes = "no argument"
		}
		hint := "See " + cmd.CommandPath() + " --help"
		err := check(cmd, args)
		switch {
		case err == nil:
		case len(cmd.ValidArgs) > 0 && len(args) == 1:
			return &stage.UsageError{Reason: fmt.Sprintf("%s takes %s, not %s", cmd.Name(), takes, cause.Name(args[0])), Hint: hint}
		case len(args) == 0:
			return &stage.UsageError{Reason: fmt.Sprintf("%s takes %s, and none was given", cmd.Name(), takes), Hint: hint}
		default:
			are := "are"
			if len(args) == 1 {
				are = "is"
			}
			return &stage.UsageError{Reason: fmt.Sprintf("%s takes %s, and there %s %s", cmd.Name(), takes, are, binio.Plural(len(args), "argument")), Hint: hint}
		}
		for _, arg := range args {
			if arg == "" {
				return &stage.UsageError{Reason: "an argument is empty", Hint: "A variable of the shell that is not set is an empty argument"}
			}
		}
		return nil
	}
}

// distance is how many letters what is typed may be from what is meant, as git allows.
const distance = 2

// noCommand takes no argument: what stands there is no command, and perhaps one is meant.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = distance
	hint := "See windmp --help"
	if _, err := os.Stat(args[0]); err == nil {
		hint = "windmp check " + cause.Name(args[0]) + " says what it is"
	} else if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		hint = "Did you mean windmp " + strings.Join(meant, ", or windmp ") + "?"
	}
	return &stage.UsageError{Reason: "there is no command " + cause.Name(args[0]), Hint: hint}
}

// flagError says what is wrong with a flag on the command line, in the words of the help.
func flagError(cmd *cobra.Command, err error) error {
	usage := &stage.UsageError{Reason: err.Error(), Hint: "See " + cmd.CommandPath() + " --help"}
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		usage.Reason = valueError("--"+value.GetFlag().Name, value.GetFlag().Value.Type(), value.GetValue(), value.Unwrap())
	case errors.As(err, &missing):
		usage.Reason = "--" + missing.GetSpecifiedName() + " wants a value"
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		usage.Reason = fmt.Sprintf("%s has no flag -%s", cmd.Name(), unknown.GetSpecifiedName())
		if name := "-" + unknown.GetSpecifiedShortnames(); mayBeFile(name) {
			usage.Hint = fmt.Sprintf("A file called %s is ./%[1]s", cause.Name(name))
		}
	case errors.As(err, &unknown):
		usage.Reason = fmt.Sprintf("%s has no flag --%s", cmd.Name(), unknown.GetSpecifiedName())
		if meant := flagsLike(cmd, unknown.GetSpecifiedName()); len(meant) > 0 {
			usage.Hint = "Did you mean --" + strings.Join(meant, ", or --") + "?"
		} else if others := commandsWith(cmd.Root(), unknown.GetSpecifiedName()); len(others) > 0 {
			usage.Hint = "It is a flag of windmp " + strings.Join(others, ", ")
		}
	}
	return usage
}

// mayBeFile tells a name that begins like a flag and is that of a file, or looks like one.
func mayBeFile(name string) bool {
	_, err := os.Lstat(name)
	return err == nil || filepath.Ext(name) != "" && !strings.Contains(name, "=")
}

// flagsLike are the flags of a command that a name may mean, by cobra's rule for names of
// commands: few letters differ, or the name is the beginning.
func flagsLike(cmd *cobra.Command, name string) []string {
	names := &cobra.Command{SuggestionsMinimumDistance: distance}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return names.SuggestionsFor(name)
}

// commandsWith are the commands that have a flag of that name.
func commandsWith(root *cobra.Command, name string) (list []string) {
	for _, cmd := range root.Commands() {
		if cmd.Flags().Lookup(name) != nil {
			list = append(list, cmd.Name())
		}
	}
	return list
}

// kindsOfValues are what numbers and switches take, by the type of the flag's value.
var kindsOfValues = map[string]string{"int": "a number", "uint64": "a number that is not negative", "uintSlice": "numbers that are not negative", "bool": "true or false", "duration": "a time such as 10s or 2m"}

// valueError says why a flag, or the variable that stands for it, can't have a value.
func valueError(name, kind, value string, why error) string {
	takes, parsed := kindsOfValues[kind]
	switch {
	case value == "":
		return name + " is empty"
	case errors.Is(why, strconv.ErrRange):
		return fmt.Sprintf("%s %s is out of range", name, value)
	case parsed:
		return fmt.Sprintf("%s takes %s, not %q", name, takes, value)
	default:
		return fmt.Sprintf("%s %q: %v", name, value, why)
	}
}

// checkValues refuses flags whose value is empty: a variable of the shell that is not
// set would have a limit or a file forgotten.
func checkValues(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.String() == "" && isText(f.Value) {
			err = &stage.UsageError{Reason: "--" + f.Name + " is empty", Hint: "See " + cmd.CommandPath() + " --help"}
		}
	})
	return err
}

// isText tells a flag that takes any text, an empty one too.
func isText(v pflag.Value) bool {
	if n, ok := v.(named); ok {
		v = n.Value
	}
	return v.Type() == "string"
}

// named has a type that the help shows.
type named struct {
	pflag.Value
	name string
}

// Type names the value in the help.
func (n named) Type() string { return n.name }

// nameValues takes the names of values out of the texts of flags, where they stand in
// backquotes, which the shells' completions would show.
func nameValues(fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) {
		if strings.Contains(f.Usage, "`") {
			name, usage := pflag.UnquoteUsage(f)
			f.Value, f.Usage = named{f.Value, name}, usage
		}
		if f.DefValue == "[]" {
			f.DefValue = "" // nothing, for the help
		}
	})
}
