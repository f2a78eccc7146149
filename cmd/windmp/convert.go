package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/heading"
	"windmp/cmd/windmp/internal/screen"
	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert"
	"windmp/convert/cause"
	"windmp/convert/guest"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/triage"
	"windmp/convert/write"
	"windmp/internal/binio"
)

// convertSchema names the JSON document of windmp convert.
const convertSchema = "windmp/convert/v1"

// document is the one JSON document of a conversion.
type document struct {
	header
	*report.Report
	// Error stands in for the report's after a usage error, when there is none.
	Error *report.Error `json:"error,omitempty"`
}

// convertFlags are the flags of windmp convert.
type convertFlags struct {
	contexts, missing    string
	kind, sparse, to     string
	size, outDir         string
	keep                 []uint
	force, dryRun, quiet bool
	strict, noSync, sum  bool
	jobs                 int
	given                func(flag string) bool // on the command line
	input                sourceflag.Input
	guest                sourceflag.Guest
}

const convertLong = `Convert reads the saved memory of a Windows virtual machine (x64, 32-bit x86 or
64-bit Arm) and writes a crash dump that WinDbg opens.

IN is the memory as the machine's host saved it. Where it carries the Windows
header note (-device vmcoreinfo and the virtio-win fwcfg driver in the guest),
that is used; otherwise windmp finds Windows in the memory, without symbols or a
network, and builds the header. OUT defaults to IN with .dmp added; - streams
the dump to standard output. IN is never changed. OUT appears only when it is
complete.

An OUT that ends in .zst, .gz or .zip is packed while it is written. An IN that
is packed with gzip, zstd, xz, bzip2, zip or tar is unpacked to a temporary file
in $TMPDIR (%TMP% on Windows), which must have room for it; zstd in frames, as
windmp writes it, is read where it lies.`

func (a *app) convertCommand() *cobra.Command {
	f := &convertFlags{}
	cmd := &cobra.Command{
		Use:   "convert IN [OUT]",
		Short: "Write a dump that WinDbg opens",
		Long:  convertLong,
		Example: `  windmp convert guest.vmcore
  windmp convert guest.vmcore guest.dmp --contexts=vcpu
  windmp convert guest.vmcore - | zstd > guest.dmp.zst
  windmp convert --out-dir=dumps *.vmcore
  windmp convert guest.vmcore --dry-run --json`,
		Args: f.checkArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.outDir != "" {
				return a.runConvertMany(cmd.Context(), args, f)
			}
			return a.runConvert(cmd.Context(), args, f)
		},
	}
	f.register(cmd.Flags())
	a.out.registerPage(cmd.Flags())
	return cmd
}

func (f *convertFlags) register(fs *pflag.FlagSet) {
	heading.Dump.Put(fs, f.registerDump)
	heading.Writing.Put(fs, f.registerWriting)
	heading.Printing.Put(fs, func(fs *pflag.FlagSet) { fs.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors") })
	f.input.Register(fs)
	f.guest.Register(fs)
	f.given = fs.Changed
}

// registerDump adds the flags for what the dump holds.
func (f *convertFlags) registerDump(fs *pflag.FlagSet) {
	fs.StringVarP(&f.kind, "type", "t", string(plan.OutputAuto), "dump: full, bitmap (any number of memory runs), kernel (kernel memory only), triage (small: what crashed); auto is full, or bitmap for more than 42 runs")
	fs.StringVar(&f.size, "size", "", "with --type=triage: how large it may be, such as 300KB (default 1MiB)")
	fs.UintSliceVar(&f.keep, "keep-process", nil, "with --type=kernel or triage: ids of processes whose user memory is kept")
	fs.StringVar(&f.missing, "missing", string(report.MissingFail), "pages that IN lacks: fail, zero, drop")
	fs.StringVar(&f.contexts, "contexts", string(plan.ContextsAuto), "registers shown: auto (a live guest's vCPUs, a crashed one's saved contexts), vcpu, saved")
	fs.StringVar(&f.to, "to", string(plan.FormatDMP), "what to write: dmp, or elf for gdb, Volatility and the like")
}

// registerWriting adds the flags for how it is written.
func (f *convertFlags) registerWriting(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.dryRun, "dry-run", "n", false, "print what would be written, write nothing")
	fs.BoolVarP(&f.force, "force", "f", false, "replace an earlier output of the same kind; never an input or another memory image")
	fs.StringVar(&f.outDir, "out-dir", "", "convert every file named into this folder, and go on after a failure; --json prints a line for each")
	fs.BoolVar(&f.strict, "strict", false, "refuse, with exit code 3, when there is a warning")
	fs.IntVarP(&f.jobs, "jobs", "j", 0, "blocks copied at the same time (default 2; for a compressed IN one for each processor)")
	fs.StringVar(&f.sparse, "sparse", string(write.SparseAuto), "holes in a file for zeros: auto (64 KiB and more), always (every page), never")
	fs.BoolVar(&f.sum, "sha256", false, "report the SHA-256 of OUT as written, packed or not; small dumps and streams always have it")
	fs.BoolVar(&f.noSync, "no-sync", false, "do not wait until the dump is on disk")
}

// checkArgs takes one file and its output, or with --out-dir any number of files.
func (f *convertFlags) checkArgs(cmd *cobra.Command, args []string) error {
	if f.given("out-dir") {
		if f.outDir == "" {
			return &stage.UsageError{Reason: "--out-dir wants the name of a folder"}
		}
		return usageArgs(cobra.MinimumNArgs(1))(cmd, args)
	}
	return usageArgs(cobra.RangeArgs(1, 2))(cmd, args)
}

// isDevice reports whether a path is that of a block device, such as a volume that holds
// a machine's state.
func isDevice(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
}

// runConvert checks the flags, converts, and prints the outcome.
func (a *app) runConvert(ctx context.Context, args []string, f *convertFlags) error {
	in, out := args[0], source.Named(args[0]).Name()+f.suffix()
	var converted *report.Report
	var details *inspect.InfoReport
	var err error
	a.out.pages = true
	switch {
	case len(args) == 2:
		out = args[1]
	case out == f.suffix():
		err = &stage.UsageError{Reason: "the URL names no file, after which the dump could be named", Hint: "name a file as OUT"}
	case isDevice(in):
		err = &stage.UsageError{Reason: cause.Name(in) + " is a device, beside which no dump is written", Hint: "name a file as OUT"}
	}
	if err == nil {
		converted, details, err = a.convertFile(ctx, in, out, f)
	}
	return a.finish(outcome{
		schema: convertSchema, err: err,
		document: func(h header, e *report.Error) any { return document{h, converted, e} },
		files: func() []htmlreport.File {
			if converted == nil {
				return nil
			}
			return []htmlreport.File{{Convert: converted, Info: details}}
		},
		text: func() error {
			if f.quiet || err != nil {
				return nil
			}
			return a.printConverted(converted, a.out.verbose)
		},
	})
}

// printConverted prints what was done; of a stream to standard error, where a log
// gets one line.
func (a *app) printConverted(r *report.Report, verbose bool) error {
	w := a.stdout
	if r.Output.Path == convert.Stdout && !r.Output.DryRun {
		if a.logs() {
			a.say(logLine{Level: levelInfo, Message: textreport.LogLine(r)})
			return nil
		}
		w = a.stderr
	}
	t := newText(w)
	textreport.Convert(t, r, verbose)
	_, err := t.WriteTo(w)
	return err
}

// suffix is what OUT defaults to behind IN.
func (f *convertFlags) suffix() string {
	if f.to == string(plan.FormatELF) {
		return ".vmcore"
	}
	return ".dmp"
}

// convertFile turns flags into options; the report is nil after a usage error.
// The details are what a page says of the guest, nil where none was asked for.
func (a *app) convertFile(ctx context.Context, in, out string, f *convertFlags) (*report.Report, *inspect.InfoReport, error) {
	if err := a.checkReport(in, out); err != nil {
		return nil, nil, err
	}
	opt, err := f.options()
	if err != nil {
		return nil, nil, err
	}
	if a.out.json && out == convert.Stdout && !f.dryRun {
		return nil, nil, &stage.UsageError{Reason: "--json and OUT - both want standard output", Hint: "name a file as OUT, or use --report"}
	}
	if out == convert.Stdout && !f.dryRun && screen.IsTerminal(a.stdout) {
		return nil, nil, &stage.UsageError{Reason: "a dump is nothing for a terminal", Hint: "name a file as OUT, or send standard output elsewhere"}
	}
	if err := refuseStdin(in); err != nil {
		return nil, nil, err
	}
	return a.convertOne(ctx, in, out, opt, f.quiet)
}

// convertOne converts a file.
func (a *app) convertOne(ctx context.Context, in, out string, opt convert.Options, quiet bool) (r *report.Report, details *inspect.InfoReport, err error) {
	opt.Progress = a.startProgress(quiet)
	opt.Source.Web.Again = a.tellAgain(quiet)
	opt.Source.Whole = toldFor(in, a.tellWhole(quiet))
	opt.Guest.Whole = opt.Source.Whole
	if a.wantsPage() {
		opt.Examined = func(g *guest.Guest, p *plan.Plan) { details = inspect.Describe(in, g, p) }
	}
	if out == convert.Stdout {
		r, err = convert.Stream(ctx, source.Named(in), &interruptible{ctx, a.stdout}, opt)
	} else {
		r, err = convert.File(ctx, in, out, opt)
	}
	return r, details, err
}

func (f *convertFlags) options() (opt convert.Options, err error) {
	if opt.Source, err = f.input.Options(); err != nil {
		return opt, err
	}
	opt.Guest, opt.DryRun, opt.SHA256 = f.guest.Options(), f.dryRun, f.sum
	if opt.Plan, err = f.planned(); err != nil {
		return opt, err
	}
	opt.Write, err = f.written()
	return opt, err
}

// planned are the options for what the dump holds.
func (f *convertFlags) planned() (plan.Options, error) {
	var err error
	opt := plan.Options{
		Contexts: parse(plan.ParseContextMode, f.contexts, &err),
		Missing:  parse(plan.ParseMissingMode, f.missing, &err),
		Type:     parse(plan.ParseOutputType, f.kind, &err),
		To:       parse(plan.ParseOutputFormat, f.to, &err),
		Strict:   f.strict,
	}
	if err != nil {
		return opt, err
	}
	if len(f.keep) > 0 && opt.Type != plan.OutputKernel && opt.Type != plan.OutputTriage {
		return opt, &stage.UsageError{Reason: "--keep-process goes with --type=kernel or triage"}
	}
	for _, pid := range f.keep {
		opt.KeepProcesses = append(opt.KeepProcesses, uint64(pid))
	}
	opt.Size, err = f.budget(opt.Type)
	return opt, err
}

// written are the options for how it is written.
func (f *convertFlags) written() (write.Options, error) {
	opt := write.Options{Force: f.force, Workers: f.jobs, NoSync: f.noSync}
	var err error
	if opt.Sparse = parse(write.ParseSparse, f.sparse, &err); err != nil {
		return opt, err
	}
	if f.given("jobs") && (f.jobs < 1 || f.jobs > write.MaxWorkers) {
		return opt, &stage.UsageError{Reason: "--jobs takes 1 to 16"}
	}
	return opt, nil
}

// parse is the value of a flag by a library's parser of names. Of several that are wrong
// the first is the error.
func parse[T any](parser func(string) (T, error), value string, first *error) T {
	v, err := parser(value)
	if err != nil && *first == nil {
		*first = ofFlag(err)
	}
	return v
}

// budget is the size that a small dump may have, 0 where none is given.
func (f *convertFlags) budget(kind plan.OutputType) (int64, error) {
	if !f.given("size") {
		return 0, nil
	}
	if kind != plan.OutputTriage {
		return 0, &stage.UsageError{Reason: "--size goes with --type=triage"}
	}
	return parseBudget(f.size)
}

// parseBudget is the value of --size.
func parseBudget(s string) (int64, error) {
	n, err := flagvalue.ParseSize("--size", s)
	if err == nil && n > triage.MaxSize {
		err = &stage.UsageError{Reason: fmt.Sprintf("--size takes 1 byte to %s", binio.Bytes(uint64(triage.MaxSize)))}
	}
	return n, err
}

// interruptible is standard output as a stream: a write into a pipe that nobody
// reads would outlast the signal that ends the program. The write that is given
// up goes on until the process ends, which is at once.
type interruptible struct {
	ctx context.Context // io.Writer has no room for it
	w   io.Writer
}

func (i *interruptible) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := i.w.Write(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-i.ctx.Done():
		return 0, context.Cause(i.ctx)
	}
}
