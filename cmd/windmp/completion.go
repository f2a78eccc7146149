package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/progress"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/write"
	"windmp/physmem/open"
)

const completionLong = `Completion prints a script that teaches a shell to complete commands, flags, the
values of flags, and file names. The Linux packages already contain those for
bash, zsh and fish.`

const completionExample = `  source <(windmp completion bash)
  windmp completion bash > ~/.local/share/bash-completion/completions/windmp
  windmp completion zsh > "${fpath[1]}/_windmp"
  windmp completion fish > ~/.config/fish/completions/windmp.fish
  windmp completion powershell | Out-String | Invoke-Expression`

// shells are the scripts that cobra writes, by shell.
func shells(root *cobra.Command) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        root.GenZshCompletion,
		"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
}

// completionCommand stands in for cobra's own, whose unknown shell is a help
// text and exit code 0.
func (a *app) completionCommand() *cobra.Command {
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:                   "completion bash|zsh|fish|powershell",
		Short:                 "Print a shell's completion script",
		Long:                  completionLong,
		Example:               completionExample,
		Args:                  usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs:             names,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return shells(cmd.Root())[args[0]](a.stdout)
		},
	}
}

// flagValues are the words that a flag takes, by its name. A flag has the same
// values in every command that knows it.
func flagValues() map[string][]string {
	return map[string][]string{
		"contexts":   words(plan.ContextsAuto, plan.ContextsVCPU, plan.ContextsSaved),
		"format":     append([]string{"auto"}, words(open.Formats()...)...),
		"log-format": logFormats,
		"level":      words(inspect.CheckHeader, inspect.CheckQuick, inspect.CheckFull),
		"progress":   progress.Modes,
		"missing":    words(report.MissingFail, report.MissingZero, report.MissingDrop),
		"sparse":     words(write.SparseAuto, write.SparseAlways, write.SparseNever),
		"to":         words(plan.FormatDMP, plan.FormatELF),
		"type":       words(plan.OutputAuto, plan.OutputFull, plan.OutputBitmap, plan.OutputKernel, plan.OutputTriage),
	}
}

func words[M ~string](modes ...M) []string {
	list := make([]string, 0, len(modes))
	for _, m := range modes {
		list = append(list, string(m))
	}
	return list
}

// argFiles is how many of a command's first arguments are names of files. Of a
// command that is not here all are.
var argFiles = map[string]int{"convert": 2, "info": 1, "stack": 1, "symbols": 1, "vtop": 1, "mount": 2, "version": 0}

// asksForCompletions tells whether it is a shell's script that runs windmp, as cobra makes it.
func asksForCompletions(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// registerCompletions tells cobra what to offer for arguments and for values, which it
// keeps for as long as the process runs. A file may have any name: people call a vmcore
// .core, .elf, .dump or nothing.
func registerCompletions(root *cobra.Command) {
	values := flagValues()
	log := cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	cobra.CheckErr(root.RegisterFlagCompletionFunc("log-format", log))
	for _, cmd := range root.Commands() {
		if limit, ok := argFiles[cmd.Name()]; ok {
			cmd.ValidArgsFunction = completeFiles(limit)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			list, known := values[f.Name]
			if !known && f.Value.Type() == "string" {
				return // it may be a file
			}
			offer := cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
			cobra.CheckErr(cmd.RegisterFlagCompletionFunc(f.Name, offer)) // fails for a flag that is not there
		})
	}
}

// completeFiles leaves the first limit arguments to the shell, which knows files,
// and offers nothing for the others.
func completeFiles(limit int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) < limit {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}
