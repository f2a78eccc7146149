// Package testtime has the time limits of tests, which grow with what else the
// machine does.
package testtime

import (
	"os"
	"strconv"
	"time"
)

// variable is the one by which the scripts' limits are multiplied too.
const variable = "WINDMP_TIME_SCALE"

// Limit is d times WINDMP_TIME_SCALE, a whole number; without it, d.
func Limit(d time.Duration) time.Duration {
	if n, err := strconv.ParseUint(os.Getenv(variable), 10, 16); err == nil && n > 0 {
		return d * time.Duration(n)
	}
	return d
}
