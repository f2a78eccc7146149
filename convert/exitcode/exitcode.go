// Package exitcode is the table of what a run ends with: the number that follows from an
// error, from the verdict of a file, and from those of several. The command and the page
// in a browser say the same of the same file; docs/exit-codes.md has the table for people.
package exitcode

import (
	"context"
	"errors"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/physmem"
)

// The codes. Those of 3 and 4 tell what the input is, all others how the run went.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2
	Verdict     = 3
	Unsupported = 4
	// Interrupted is what a shell says of a program that SIGINT ended: 128 and the
	// number of the signal.
	Interrupted = 130
)

// gravest is the order in which the code of one file becomes that of a run over several.
var gravest = []int{Interrupted, Failed, Verdict, Unsupported, Usage}

// Of is the code of an error.
func Of(err error) int {
	var usage *stage.UsageError
	var refused *finding.RefusedError
	var format *physmem.FormatError
	var option *physmem.OptionError
	switch {
	case err == nil:
		return Done
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.As(err, &usage), errors.As(err, &option), errors.Is(err, atomicfile.ErrExists):
		return Usage
	case errors.As(err, &refused):
		if refused.Unsupported {
			return Unsupported
		}
		return Verdict
	case errors.Is(err, physmem.ErrUnknownFormat), errors.Is(err, physmem.ErrUnsupported):
		return Unsupported
	case errors.As(err, &format):
		return Verdict
	default:
		return Failed
	}
}

// OfFile is the code of a file that was judged: err is why it could not be, nil where it
// could, and fails tells whether its verdict is one that fails a run. That a file could
// not be read, is not supported, or is none for the options, is said before any verdict.
func OfFile(err error, fails bool) int {
	switch code := Of(err); {
	case code == Interrupted, code == Failed, code == Unsupported, code == Usage:
		return code
	case fails:
		return Verdict
	default:
		return Done
	}
}

// Worst is the code of a run over several files: of those that they have the gravest.
func Worst(codes ...int) int {
	for _, code := range gravest {
		if slices.Contains(codes, code) {
			return code
		}
	}
	return Done
}
