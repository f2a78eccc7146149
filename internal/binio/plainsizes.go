package binio

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// What stands here is for the browser's build ([writeSize] and [readSize] there):
// go-humanize brings regular expressions and big numbers along.

// prefixes are those of units, each 1024 or 1000 times the one before.
const prefixes = "KMGTPE"

// plainSize is a size as go-humanize writes it. It has one decimal for less than ten of a unit.
func plainSize(n uint64) string {
	const prefixBits = 10
	power := max(bits.Len64(n)-1, 0) / prefixBits
	if power == 0 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, decimals := math.Ldexp(float64(n), -power*prefixBits), 0
	if tenths := math.Floor(v*10 + 0.5); tenths < 100 {
		v, decimals = tenths/10, 1
	} else {
		v = math.Floor(v + 0.5)
	}
	return strconv.FormatFloat(v, 'f', decimals, 64) + " " + prefixes[power-1:power] + "iB"
}

// parseSize reads a size as go-humanize does.
func parseSize(s string) (uint64, bool) {
	unit := strings.TrimLeft(s, "0123456789.,")
	number := strings.ReplaceAll(s[:len(s)-len(unit)], ",", "")
	size, ok := unitSize(unit)
	if !ok {
		return 0, false
	}
	return times(number, size)
}

// unitSize is how many bytes a unit has.
func unitSize(unit string) (uint64, bool) {
	prefix := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(unit)), "B")
	if prefix == "" {
		return 1, true
	}
	var factor uint64 = 1000
	if p, ok := strings.CutSuffix(prefix, "I"); ok {
		prefix, factor = p, 1024
	}
	power := strings.Index(prefixes, prefix)
	if len(prefix) != 1 || power < 0 {
		return 0, false
	}
	size := factor
	for range power {
		size *= factor
	}
	return size, true
}

// times is a number of units in bytes, exact where the number is whole.
func times(number string, size uint64) (uint64, bool) {
	if n, err := strconv.ParseUint(number, 10, 64); err == nil {
		over, n := bits.Mul64(n, size)
		return n, over == 0
	}
	f, err := strconv.ParseFloat(number, 64)
	f *= float64(size)
	return uint64(f), err == nil && f < math.MaxUint64
}
