// Package testheap is imported for what it does: a test program collects garbage less
// often. Tests make and drop many small guests, and by Go's rule for a heap of some MiB
// that means to collect after every few of them: up to half of the time.
package testheap

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

const (
	// percent is GOGC's value, and reserve is memory that the heap has beside what is in
	// use, bytes, which nothing is ever written to: the system gives it no pages. So
	// nothing is collected before 50 MiB were used. The short tests of convert/judge, of
	// small guests, take 0.3 s of a CPU instead of 0.5 s; those of convert, with samples,
	// 10 s in either case. With a percentage of 400 they take no less, and 2 GB of memory
	// instead of 1 GB.
	percent = 80
	reserve = 64 << 20
)

// kept keeps the reserve.
var kept []byte //nolint:unused // nobody reads it

// The user's own GOGC holds, and benchmarks measure the heap that users have.
func init() {
	if testing.Testing() && os.Getenv("GOGC") == "" && !slices.ContainsFunc(os.Args, isBenchmark) {
		kept = make([]byte, reserve)
		debug.SetGCPercent(percent)
	}
}

func isBenchmark(arg string) bool { return strings.HasPrefix(arg, "-test.bench=") }
