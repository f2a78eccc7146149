package binio

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// prefixes are those of units, each 1024 or 1000 times the one before.
const prefixes = "KMGTPE"

// Bytes is a number of bytes for people, "1.1 MiB"; a negative one is none.
func Bytes[T int | int64 | uint64](n T) string { return bytesOf(uint64(max(n, 0))) }

// bytesOf has one decimal for less than ten of a unit.
func bytesOf(n uint64) string {
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

// PartOf is a part of a number of bytes for people: "1.1 of 4.0 MiB", or with two
// units, "12 KiB of 4.0 MiB".
func PartOf(part, whole uint64) string {
	p, w := Bytes(part), Bytes(whole)
	number, unit, _ := strings.Cut(p, " ")
	if strings.HasSuffix(w, " "+unit) {
		p = number
	}
	return p + " of " + w
}

// ParseBytes reads a size as people write it, 1GB (10^9) or 1GiB (2^30), 1.5 g or 1,000.
// It is false for what is none, for 0, and for what no file has.
func ParseBytes(s string) (int64, bool) {
	unit := strings.TrimLeft(s, "0123456789.,")
	number := strings.ReplaceAll(s[:len(s)-len(unit)], ",", "")
	size, ok := unitSize(unit)
	if !ok {
		return 0, false
	}
	n, ok := times(number, size)
	if !ok || n == 0 || n>>62 != 0 {
		return 0, false
	}
	return int64(n), true
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
