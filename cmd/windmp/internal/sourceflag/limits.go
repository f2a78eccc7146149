package sourceflag

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/heading"
	"windmp/convert/source"
	"windmp/convert/stage"
)

// Limits bound what a look costs.
type Limits struct {
	timeout time.Duration
	maxRead string
	given   func(flag string) bool // on the command line
}

// Register adds the flags.
func (f *Limits) Register(fs *pflag.FlagSet) {
	heading.Limits.Put(fs, func(fs *pflag.FlagSet) {
		fs.DurationVar(&f.timeout, "timeout", 0, "stop looking at a file after this time, such as 10s or 2m")
		fs.StringVar(&f.maxRead, "max-read", "", "stop after reading `SIZE` of a file, such as 64MB or 1GiB")
	})
	f.given = fs.Changed
}

// limits are those that are given, none of a command that has no such flags.
func (f *Limits) limits() (l source.Limits, err error) {
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
