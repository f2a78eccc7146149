//go:build linux

// Command bench measures windmp against what else copies, reads or converts memory
// images. scripts/race builds and runs it.
//
//	go run ./scripts/bench -windmp ./windmp -gib 4 -n 5 -only copy
//	go run ./scripts/bench inflate -library std FILE.kdump
//
// Each group makes its input, runs its racers in turn, in an order that rotates
// from one round to the next, and removes the input. What is printed are medians;
// ratios are those of one round, before their median is taken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// settings are the command line's.
type settings struct {
	windmp, mkbig string // programs
	gib           uint64
	rounds        int
	ram, disk     string // folders
	core          string // a vmcore to extend instead of a synthetic guest
	only          string
	results       string // folder for bench.csv and bench.json
	wait          time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == "inflate" {
		err = inflateMain(os.Args[2:])
	} else {
		err = benchMain(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func benchMain(ctx context.Context, args []string) error {
	var s settings
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	f.StringVar(&s.windmp, "windmp", "windmp", "the windmp to measure")
	f.StringVar(&s.mkbig, "mkbig", "mkbig", "scripts/mkbig, built")
	f.Uint64Var(&s.gib, "gib", 2, "size of the memory images in GiB, 1 to 64")
	f.IntVar(&s.rounds, "n", 5, "rounds, in each of which all racers run once")
	f.StringVar(&s.ram, "ram", "/dev/shm", "folder in memory")
	f.StringVar(&s.disk, "disk", os.TempDir(), "folder on a disk, empty for none")
	f.StringVar(&s.core, "core", "", "a vmcore to extend, instead of a synthetic guest")
	f.StringVar(&s.only, "only", "", "only groups whose name matches this regular expression")
	f.StringVar(&s.results, "results", ".", "folder for bench.csv and bench.json")
	f.DurationVar(&s.wait, "wait", 20*time.Second, "wait at most so long before each run until others use less than a tenth of the processors")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || s.gib < 1 || s.gib > 64 || s.rounds < 1 {
		return errors.New("usage: bench [-gib 1..64] [-n ROUNDS] and others, see -help")
	}
	only, err := regexp.Compile(s.only)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r := &runner{settings: s}
	fmt.Println(r.machine())
	for _, g := range groups(&s, self) {
		if only.MatchString(g.name) {
			if err := r.group(ctx, g); err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	fmt.Printf("\nall groups, %s\n", noiseOf(r.runs))
	return errors.Join(
		writeFile(filepath.Join(s.results, "bench.csv"), r.csv()),
		writeFile(filepath.Join(s.results, "bench.json"), r.json()),
	)
}

func writeFile(path string, b []byte) error { return os.WriteFile(path, b, 0o600) }
