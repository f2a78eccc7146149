package binio

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// IsZero reports whether all bytes are 0.
func IsZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// zeros are what bytes are compared with, many at a time.
var zeros [4096]byte

// IsText reports whether b is UTF-8 without control characters other than
// white space. The last rune may be cut.
func IsText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		b = b[n:]
	}
	return true
}

// leastNoise is how many bytes are needed to tell noise from data.
const leastNoise = 4096

// IsNoise reports whether b, of 4096 bytes and more, is as random as encrypted data
// is: each value of a byte about as often as each other. Data that is packed well
// looks alike.
func IsNoise(b []byte) bool {
	if len(b) < leastNoise {
		return false
	}
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	// Pearson's chi-squared: of random bytes it is 255 on average with a standard
	// deviation of 23, whatever their number; these are six of these around it. A
	// counter is too even.
	const least, most = 120, 391
	expected := float64(len(b)) / float64(len(count))
	sum := 0.0
	for _, n := range &count {
		d := float64(n) - expected
		sum += d * d / expected
	}
	return sum > least && sum < most
}

// Visible is a text on one line without anything that a terminal or a page acts on: what
// is not printable becomes an escape, such as control characters, those that turn the
// direction of what follows, and line breaks.
func Visible(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
}

// Moment is a time for people.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// MomentOf is [Moment] of a time in a report, which is RFC 3339; any other text is itself.
func MomentOf(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		return rfc3339
	}
	return Moment(t)
}
