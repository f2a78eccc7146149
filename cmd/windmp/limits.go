package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

// limitFlags bound what a look costs.
type limitFlags struct {
	timeout time.Duration
	maxRead string
	given   func(flag string) bool // on the command line
}

func (f *limitFlags) register(fs *pflag.FlagSet) {
	fs.DurationVar(&f.timeout, "timeout", 0, "look no longer at a file, such as 10s or 2m; what is not known by then is UNKNOWN")
	fs.StringVar(&f.maxRead, "max-read", "", "read no more of a file than `SIZE`, such as 64MB or 1GiB, likewise")
	f.given = fs.Changed
}

// limits are those that are given, none of a command that has no such flags.
func (f *limitFlags) limits() (l source.Limits, err error) {
	if f.given == nil {
		return l, nil
	}
	if (f.given("timeout") || f.timeout != 0) && f.timeout <= 0 {
		return l, &stage.UsageError{Reason: fmt.Sprintf("--timeout %v is no time to look at a file", f.timeout), Hint: "for example 10s or 2m"}
	}
	l.Timeout = f.timeout
	if f.given("max-read") || f.maxRead != "" {
		l.MaxRead, err = flagvalue.ParseSize("--max-read", f.maxRead)
	}
	return l, err
}

// wholeFrom is how many bytes are read without a word: some tenths of a second.
const wholeFrom = 256 << 20

// tellWhole says before all of a file is read that it is, and how much that is: it may
// take minutes where a look else takes none. What shows progress as JSON has it in that.
func (a *app) tellWhole(quiet bool) func(path string, w stage.Whole) {
	if mode := a.out.progress.Value; quiet || mode == "none" || mode == "json" {
		return func(string, stage.Whole) {}
	}
	return func(path string, w stage.Whole) {
		if w.Bytes < wholeFrom {
			return
		}
		a.progress.Clear()
		a.say(logLine{Level: levelInfo, Message: path + ": " + strings.ReplaceAll(wholeWords[w.Stage], "%", binio.Bytes(w.Bytes)), Stage: string(w.Stage)})
	}
}

// wholeWords say why all of a file is read; % is how much.
var wholeWords = map[stage.Stage]string{
	stage.Unpack: "it is packed: its % are read, and unpacked to a temporary file",
	stage.Open:   "its pages have no table: its % are read to the end",
	stage.Kernel: "nothing in it leads to Windows: up to % of memory are searched",
	stage.Read:   "its % are read to the end",
}

// toldFor is tell of one file.
func toldFor(path string, tell func(string, stage.Whole)) func(stage.Whole) {
	return func(w stage.Whole) { tell(path, w) }
}
