// Package testheap is imported for what it does: a test program collects garbage less
// often. Tests make and drop many small guests, and by Go's rule for a heap of some MiB
// that means to collect after every few of them: 40 % of a conversion's time.
package testheap

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// percent is GOGC's value. From 400 on nothing is gained: 4.2 s instead of 7.1 s of a
// CPU for 600 conversions of a guest with 256 KiB, and 4.2 s with 800 as well.
const percent = 400

// The user's own GOGC holds, and benchmarks measure the heap that users have.
func init() {
	if testing.Testing() && os.Getenv("GOGC") == "" && !slices.ContainsFunc(os.Args, isBenchmark) {
		debug.SetGCPercent(percent)
	}
}

func isBenchmark(arg string) bool { return strings.HasPrefix(arg, "-test.bench=") }
