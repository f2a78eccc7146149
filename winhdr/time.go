package winhdr

import (
	"fmt"
	"math"
	"time"
)

// TicksPerSecond is how many units of Windows' times a second has: 100 ns each
// (minwinbase.h, FILETIME).
const TicksPerSecond = 10_000_000

const (
	// secondsTo1970 is how long before the Unix epoch FILETIME's lies, the
	// start of 1601: 369 years with 89 leap days.
	secondsTo1970 = (369*365 + 89) * 24 * 60 * 60
)

// TimeError says that a time can't be converted.
type TimeError struct {
	Got string
}

// Error gives the time.
func (e *TimeError) Error() string {
	return fmt.Sprintf("time %s: want one after the start of 1601 and before 10000", e.Got)
}

// Time converts a FILETIME (100 ns units since the start of 1601, UTC), such as
// Header64.SystemTime. Zero, which means "not set", and times past the year
// 9999 are a *TimeError: RFC 3339, and so JSON, can't write these, and the fill
// pattern is one of them (year 17420).
func Time(fileTime uint64) (time.Time, error) {
	if fileTime == 0 || fileTime > math.MaxInt64 {
		return time.Time{}, &TimeError{Got: fmt.Sprintf("FILETIME 0x%x", fileTime)}
	}
	seconds, rest := int64(fileTime/TicksPerSecond), int64(fileTime%TicksPerSecond)
	t := time.Unix(seconds-secondsTo1970, rest*100).UTC()
	if t.Year() > 9999 {
		return time.Time{}, &TimeError{Got: fmt.Sprintf("FILETIME 0x%x", fileTime)}
	}
	return t, nil
}
