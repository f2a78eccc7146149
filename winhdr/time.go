package winhdr

import (
	"fmt"
	"math"
	"time"
)

const (
	ticksPerSecond = 10_000_000 // FILETIME counts 100 ns (minwinbase.h)
	// secondsTo1970 is how long before the Unix epoch FILETIME's lies, the
	// start of 1601: 369 years with 89 leap days.
	secondsTo1970 = (369*365 + 89) * 24 * 60 * 60
)

// TimeError says that a time can't be converted.
type TimeError struct {
	FileTime uint64    // the FILETIME, if that was to be converted
	Time     time.Time // else the time
}

// Error gives the value.
func (e *TimeError) Error() string {
	if e.Time.IsZero() {
		return fmt.Sprintf("filetime 0x%x: want a time from 1601 to 9999", e.FileTime)
	}
	return fmt.Sprintf("time %v: want a time from 1601 to 9999", e.Time)
}

// Time converts a FILETIME (100 ns units since the start of 1601, UTC), such as
// Header64.SystemTime. Zero, which means "not set", and times past the year
// 9999 are a *TimeError: RFC 3339, and so JSON, can't write these, and the fill
// pattern is one of them (year 17420).
func Time(fileTime uint64) (time.Time, error) {
	if fileTime == 0 || fileTime > math.MaxInt64 {
		return time.Time{}, &TimeError{FileTime: fileTime}
	}
	seconds, rest := int64(fileTime/ticksPerSecond), int64(fileTime%ticksPerSecond)
	t := time.Unix(seconds-secondsTo1970, rest*100).UTC()
	if t.Year() > 9999 {
		return time.Time{}, &TimeError{FileTime: fileTime}
	}
	return t, nil
}

// FileTime is the inverse of Time. What is finer than 100 ns is cut off.
func FileTime(t time.Time) (uint64, error) {
	seconds := t.Unix() + secondsTo1970
	if seconds < 0 || t.UTC().Year() > 9999 {
		return 0, &TimeError{Time: t}
	}
	return uint64(seconds)*ticksPerSecond + uint64(t.Nanosecond()/100), nil //nolint:gosec // neither is negative
}
