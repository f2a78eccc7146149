package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/progress"
	"windmp/convert/exitcode"
)

// app is one invocation: its streams, and what the exit code follows from.
type app struct {
	stdout, stderr io.Writer
	out            outputFlags
	progress       *progress.Shown
	finished       bool // the outcome is handed over
	// wrongVariable has, by command, the usage error of a variable of the environment;
	// by the empty name that of the flags of all commands.
	wrongVariable map[string]error
}

// run is the whole program. Only main exits, so that every defer runs.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), endingSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	if asksForCompletions(args) {
		registerCompletions(root)
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.finishEarly(cmd, args, err)
	a.printError(err)
	a.endProgress(err)
	return exitcode.Of(err)
}

// endingSignals are those that end a run in order. A terminal that goes away sends
// SIGHUP, unless nohup was there before.
func endingSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// rootCommand builds the command tree anew, so that nothing is shared between
// two runs.
func (a *app) rootCommand() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           "windmp COMMAND",
		Short:         "Turn the saved memory of a Windows machine into a dump that WinDbg opens",
		Long:          "windmp turns the saved memory of a Windows virtual machine (x64, 32-bit x86 or\n64-bit Arm) into a crash dump that WinDbg opens. windmp COMMAND --help has more.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return cmp.Or(a.wrongVariable[cmd.Name()], a.wrongVariable[""], checkValues(cmd))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				return a.printVersion()
			}
			return cmd.Help()
		},
	}
	// Not cobra's own: with a template of ours the program would be a sixth larger.
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "version for windmp")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
	root.AddCommand(a.convertCommand(), a.checkCommand(), a.infoCommand(), a.stackCommand(), a.symbolsCommand(), a.vtopCommand(),
		a.mountCommand(), a.versionCommand(), a.completionCommand())
	a.out.log = flagvalue.NewChoice(logFormats)
	root.PersistentFlags().Var(&a.out.log, "log-format", "what goes to standard error besides progress: text, json (a line of JSON each)")
	a.settleFlags(root)
	return root
}

// settleFlags gives the flags of all commands what they have in common: values from the
// environment, and texts that completions can show.
func (a *app) settleFlags(root *cobra.Command) {
	a.wrongVariable = map[string]error{"": useEnvironment(root.PersistentFlags())}
	root.InitDefaultHelpFlag()
	nameValues(root.PersistentFlags())
	for _, cmd := range root.Commands() {
		a.wrongVariable[cmd.Name()] = useEnvironment(cmd.Flags())
		nameValues(cmd.Flags())
	}
}

// printedError is an error whose message the user already has, in a JSON
// document: it only decides the exit code.
type printedError struct{ err error }

func (e *printedError) Error() string { return e.err.Error() }
func (e *printedError) Unwrap() error { return e.err }
