package main

import (
	"errors"
	"fmt"
	"os"
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
			return &stage.UsageError{Reason: fmt.Sprintf("%s takes %s, and there are %s", cmd.Name(), takes, binio.Plural(len(args), "argument")), Hint: hint}
		}
		for _, arg := range args {
			if arg == "" {
				return &stage.UsageError{Reason: "an argument is empty", Hint: "A variable of the shell that is not set is an empty argument"}
			}
		}
		return nil
	}
}

// noCommand takes no argument: what stands there is no command, and perhaps one is meant.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	const distance = 2 // letters, as git allows
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
	switch {
	case errors.As(err, &value):
		usage.Reason = valueError("--"+value.GetFlag().Name, value.GetFlag().Value.Type(), value.GetValue(), value.Unwrap())
	case errors.As(err, &missing):
		usage.Reason = "--" + missing.GetSpecifiedName() + " wants a value"
	}
	return usage
}

// kindsOfValues are what numbers and switches take, by the type of the flag's value.
var kindsOfValues = map[string]string{"int": "a number", "uint64": "a number that is not negative", "uintSlice": "numbers that are not negative", "bool": "true or false"}

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
