//go:build unix

// Command compare runs two builds of windmp over the same inputs and says what they
// do differently: bytes of outputs, JSON documents, text, exit codes, files left.
//
//	go run ./scripts/compare 9a55db2 HEAD
//	go run ./scripts/compare -only 'x86.*: vtop' ./windmp-old ./windmp
//
// OLD and NEW are programs, or commits, which are built in a git worktree of their
// own. The inputs are the samples under testdata, what else can be made of them,
// synthetic guests, guests that run in QEMU if it is there, and broken files. All
// are the same at each run but for QEMU's, which are dumped once for both.
//
// A difference that is wanted stands in docs/differences.md with its reason. Exit
// code 1: there are others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// settings are the command line's.
type settings struct {
	old, new string
	only     *regexp.Regexp // of cases, nil for all
	inputs   string         // a folder with further inputs
	known    string         // the list of wanted differences
	list     bool
	verbose  bool
	qemu     bool
	jobs     int
	limit    time.Duration // of one run of windmp
}

// errDiffers says that there are differences that no list explains.
var errDiffers = errors.New("there are differences that nothing explains")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s, err := parse(os.Args[1:])
	if err == nil {
		var out strings.Builder
		err = compare(ctx, s, &out)
		fmt.Print(out.String())
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	var s settings
	var only string
	f := flag.NewFlagSet("compare", flag.ExitOnError)
	f.StringVar(&only, "only", "", "the cases whose name (INPUT: COMMAND) matches")
	f.StringVar(&s.inputs, "inputs", "", "a folder with more inputs")
	f.StringVar(&s.known, "known", "docs/differences.md", "the list of wanted differences")
	f.BoolVar(&s.list, "list", false, "list the cases, run none")
	f.BoolVar(&s.verbose, "v", false, "print each difference of each case")
	f.BoolVar(&s.qemu, "qemu", true, "with guests that run in QEMU, if it is there")
	f.IntVar(&s.jobs, "j", runtime.NumCPU(), "cases at the same time")
	f.DurationVar(&s.limit, "limit", time.Minute, "the time that one run of windmp may take")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: compare [flags] OLD NEW")
		f.PrintDefaults()
	}
	_ = f.Parse(args) // exits
	if f.NArg() != 2 {
		f.Usage()
		os.Exit(2)
	}
	s.old, s.new = f.Arg(0), f.Arg(1)
	if only == "" {
		return s, nil
	}
	var err error
	s.only, err = regexp.Compile(only)
	return s, err
}

// compare does what the command line says.
func compare(ctx context.Context, s settings, out *strings.Builder) error {
	known, err := readKnown(s.known)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "windmp-compare")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	w := &workshop{dir: work, limit: s.limit}
	for _, side := range []struct {
		name string
		path *string
	}{{s.old, &w.old}, {s.new, &w.new}} {
		if *side.path, err = program(ctx, work, side.name); err != nil {
			return err
		}
	}
	inputs, err := makeInputs(ctx, w, s)
	if err != nil {
		return err
	}
	cases := allCases(inputs, s.only)
	if s.list {
		for _, c := range cases {
			fmt.Fprintln(out, c.name())
		}
		return nil
	}
	start := time.Now()
	result, err := runAll(ctx, w, cases, s.jobs)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d cases over %d inputs in %v\n", len(cases), len(inputs), time.Since(start).Round(time.Second))
	err = known.report(out, result, s.verbose)
	if s.only == nil { // some cases alone could not match every line
		known.reportUnused(out)
	}
	return err
}
