package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/physmem"
)

// Exit codes. exitHelp prints this table; the README repeats it.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitVerdict     = 3
	exitUnsupported = 4
	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0    done
  1    the operation failed (input/output error, no space)
  2    usage: an option, an argument, an output that exists
  3    the verdict is FAIL: no dump worth opening can be made (with --strict also WARN,
       with --fail-on-unknown also UNKNOWN)
  4    the input is not recognised or not supported
  130  interrupted`

// app is one invocation: its streams, and what the exit code follows from.
type app struct {
	stdout, stderr io.Writer
	out            outputFlags
	progress       *progress
	finished       bool // the outcome is handed over
}

// run is the whole program. Only main exits, so that every defer runs.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), endingSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.finishEarly(cmd, args, err)
	a.printError(err)
	a.endProgress(err)
	return exitCode(err)
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
	root := &cobra.Command{
		Use:           "windmp",
		Short:         "Turn the saved memory of a Windows virtual machine into a dump that WinDbg opens",
		Long:          "windmp turns the saved memory of a Windows virtual machine into a crash dump that WinDbg opens.\n\n" + exitHelp,
		Version:       thisBuild().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("windmp {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &stage.UsageError{Reason: err.Error(), Hint: "see " + cmd.CommandPath() + " --help"}
	})
	root.AddCommand(a.convertCommand(), a.checkCommand(), a.infoCommand(), a.stackCommand(), a.symbolsCommand(), a.vtopCommand(),
		a.mountCommand(), a.versionCommand(), a.completionCommand())
	a.out.log = newChoice(logFormats)
	root.PersistentFlags().Var(&a.out.log, "log-format", "what goes to standard error besides progress: text, json (a line of JSON each)")
	registerCompletions(root)
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &stage.UsageError{Reason: err.Error(), Hint: "see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// printedError is an error whose message the user already has, in a JSON
// document: it only decides the exit code.
type printedError struct{ err error }

func (e *printedError) Error() string { return e.err.Error() }
func (e *printedError) Unwrap() error { return e.err }

// exitCode is the one place where an error becomes a number.
func exitCode(err error) int {
	var usage *stage.UsageError
	var refused *finding.RefusedError
	var format *physmem.FormatError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.Is(err, write.ErrExists):
		return exitUsage
	case errors.As(err, &refused):
		if refused.Unsupported {
			return exitUnsupported
		}
		return exitVerdict
	case errors.Is(err, physmem.ErrUnknownFormat), errors.Is(err, physmem.ErrUnsupported):
		return exitUnsupported
	case errors.As(err, &format):
		return exitVerdict
	default:
		return exitFailed
	}
}
