package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/convert/stage"
)

// ofPipelines are the flags that a pipeline sets once, for all its calls, and that can
// stand in the environment: those that say how windmp works, and not what on.
var ofPipelines = []string{
	"contexts", "download", "fail-on-unknown", "jobs", "json", "level", "log-format", "max-read", "max-size", "missing",
	"no-sync", "progress", "quiet", "sha256", "sparse", "strict", "timeout", "urls", "verbose",
}

// variable is the name of the variable that stands for a flag.
func variable(flag string) string {
	return "WINDMP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variablesOf are those that a command knows, in the order of the alphabet.
func variablesOf(cmd *cobra.Command) (list []string) {
	collect := func(f *pflag.Flag) {
		if slices.Contains(ofPipelines, f.Name) {
			list = append(list, variable(f.Name))
		}
	}
	cmd.LocalFlags().VisitAll(collect)
	cmd.InheritedFlags().VisitAll(collect)
	if cmd.Flags().Lookup("header") != nil {
		list = append(list, sourceflag.HeadersVariable)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// useEnvironment gives flags the values of their variables, which those on the command
// line replace. The error is a usage error of the command that has the flag.
func useEnvironment(fs *pflag.FlagSet) error {
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		if err != nil || !slices.Contains(ofPipelines, f.Name) {
			return
		}
		value := os.Getenv(variable(f.Name))
		if value == "" {
			return
		}
		if why := f.Value.Set(value); why != nil {
			err = &stage.UsageError{Reason: valueError(variable(f.Name), f.Value.Type(), value, why), Hint: "It stands for --" + f.Name}
		}
	})
	return err
}
