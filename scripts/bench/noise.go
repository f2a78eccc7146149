//go:build linux

package main

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// workSize is the size of the fixed piece of work, in bytes to hash: some 50 ms of one
// processor.
const workSize = 16 << 20

// fixedWork is how many seconds a piece of work takes that is always the same: on a quiet
// machine about as many every time.
func fixedWork() float64 {
	block := make([]byte, 64<<10)
	start := time.Now()
	h := sha256.New()
	for range workSize / len(block) {
		_, _ = h.Write(block) // a hash returns no error
	}
	return time.Since(start).Seconds()
}

// Bounds of what is called quiet.
const (
	quietOthers = 0.1 // of all processors
	quietWork   = 1.2 // times the least time of the fixed work
)

// noiseOf says in a line how noisy the machine was while runs were measured: times of
// one racer can't be told from those of another by less than that.
func noiseOf(runs []run) string {
	if len(runs) == 0 {
		return "noise: nothing was measured"
	}
	most, least, longest := 0.0, runs[0].Work, 0.0
	for _, r := range runs {
		most = max(most, r.Others)
		least, longest = min(least, r.Work), max(longest, r.Work)
	}
	usual := median(runs, func(r run) float64 { return r.Others })
	name := "the machine was quiet"
	if usual > quietOthers || longest > quietWork*least {
		name = "the machine was NOT quiet"
	}
	return fmt.Sprintf("noise: others used %.0f%% of the processors (at most %.0f%%); a fixed piece of work took %.0f to %.0f ms, %.2f times the least: %s",
		100*usual, 100*most, 1000*least, 1000*longest, longest/max(least, 1e-9), name)
}
