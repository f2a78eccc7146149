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

const (
	// percent is GOGC's value, and reserve is memory that the heap has beside what is in
	// use, bytes, which nothing is ever written to. So nothing is collected before as much
	// again was used: 600 conversions of a guest with 256 KiB take 4.2 s of a CPU instead
	// of 7.1 s. A higher percentage does the same for them; but where a test has samples,
	// the heap grows to GiBs, and to get each of their pages takes longer than to collect.
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
