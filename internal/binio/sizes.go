package binio

import "strings"

// Bytes is a number of bytes for people, "1.1 MiB"; a negative one is none.
func Bytes[T int | int64 | uint64](n T) string { return writeSize(uint64(max(n, 0))) }

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
	n, ok := readSize(s)
	if !ok || n == 0 || n>>62 != 0 {
		return 0, false
	}
	return int64(n), true
}
