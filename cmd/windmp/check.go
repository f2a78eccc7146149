package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/cmd/windmp/internal/wildcards"
	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
)

const checkSchema = "windmp/check/v1"

type checkDocument struct {
	header
	*inspect.CheckReport
	Error *report.Error `json:"error,omitempty"`
}

type checkFlags struct {
	source              sourceflag.Look
	level, maxSize      string
	strict, failUnknown bool
	jobs                int
}

const checkLong = `Check says of each file whether it is worth an upload or a conversion: OK, WARN,
UNKNOWN or FAIL, and why. Of a vmcore: does it convert, and to what. Of a
Windows dump: do WinDbg and other readers open it, and what will they show. It
reads kilobytes, except with --level=full.

With --timeout or --max-read, what is not known when the limit is reached is
UNKNOWN.

Exit code 0 means that nothing known speaks against the file. It does not
promise that the crash in it can be analysed.`

func (a *app) checkCommand() *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say whether files convert, or open in WinDbg",
		Long:  checkLong,
		Example: `  windmp check guest.vmcore MEMORY.DMP
  windmp check --level=full --max-size=1GB --json MEMORY.DMP > ticket.json`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runCheck(cmd.Context(), args, f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.level, "level", string(inspect.CheckQuick), "header, quick, or full: read every byte, print the SHA-256")
	fs.StringVar(&f.maxSize, "max-size", "", "fail files larger than this, such as 1GB or 512MiB, and unpack no more of a packed one")
	fs.BoolVar(&f.strict, "strict", false, "exit with 3 on WARN and UNKNOWN too")
	fs.BoolVar(&f.failUnknown, "fail-on-unknown", false, "exit with 3 on UNKNOWN too")
	fs.IntVarP(&f.jobs, "jobs", "j", inspect.DefaultCheckJobs, "files checked at the same time")
	f.source.Register(fs)
	f.source.Limits.Register(fs)
	a.out.registerPage(fs)
	return cmd
}

func (f *checkFlags) options() (opt inspect.CheckOptions, err error) {
	if opt.Level, err = inspect.ParseCheckLevel(f.level); err != nil {
		return opt, ofFlag(err)
	}
	if f.jobs < 1 || f.jobs > write.MaxWorkers {
		return opt, &stage.UsageError{Reason: "--jobs takes 1 to 16"}
	}
	opt.Jobs = f.jobs
	if f.maxSize != "" {
		if opt.MaxSize, err = flagvalue.ParseSize("--max-size", f.maxSize); err != nil {
			return opt, err
		}
	}
	opt.Source, opt.Guest, err = f.source.Options()
	return opt, err
}

func (a *app) runCheck(ctx context.Context, paths []string, f *checkFlags) error {
	paths = wildcards.Expand(paths)
	a.out.pages = true
	err := cmp.Or(refuseStdin(paths...), a.checkReport(paths...))
	var opt inspect.CheckOptions
	if err == nil {
		opt, err = f.options()
	}
	var r *inspect.CheckReport
	if err == nil {
		opt.Progress, opt.Details = a.startProgress(false), a.wantsPage()
		opt.Whole, opt.Source.Web.Again = a.tellWhole(false), a.tellAgain(false)
		if r, err = inspect.Check(ctx, opt, inputs(paths)...); err == nil {
			err = f.outcome(r)
		} else {
			r = nil
		}
	}
	return a.finish(outcome{
		schema: checkSchema, err: err, told: r != nil && !errors.Is(err, context.Canceled),
		document: func(h header, e *report.Error) any { return checkDocument{h, r, e} },
		files:    func() []htmlreport.File { return checkedFiles(r) },
		text: func() error {
			if r == nil {
				return nil
			}
			t := newText(a.stdout)
			textreport.Check(t, r, a.out.verbose)
			return a.print(t)
		},
	})
}

// checkedFiles is what a page says of the files.
func checkedFiles(r *inspect.CheckReport) (list []htmlreport.File) {
	if r == nil {
		return nil
	}
	for i := range r.Files {
		list = append(list, htmlreport.File{Check: &r.Files[i], Info: r.Files[i].Details})
	}
	return list
}

// inputs are files to look at.
func inputs(paths []string) []source.Input {
	list := make([]source.Input, 0, len(paths))
	for _, path := range paths {
		list = append(list, source.Named(path))
	}
	return list
}

// outcome is the error that gives the exit code.
func (f *checkFlags) outcome(r *inspect.CheckReport) error {
	errs := make([]error, len(r.Files))
	for i := range r.Files {
		c := &r.Files[i]
		switch exitcode.OfFile(c.Err, f.fails(c.Verdict)) {
		case exitcode.Done:
		case exitcode.Verdict:
			errs[i] = &finding.RefusedError{Finding: finding.Finding{Message: c.Path + ": " + c.Reason}}
		default:
			errs[i] = c.Err
		}
	}
	return worst(errs...)
}

// fails tells whether a verdict leads to exit code 3.
func (f *checkFlags) fails(verdict string) bool {
	switch verdict {
	case "FAIL":
		return true
	case "WARN":
		return f.strict
	case "UNKNOWN":
		return f.failUnknown || f.strict
	default:
		return false
	}
}
