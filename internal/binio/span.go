package binio

import "fmt"

// Span is a time in seconds for people, in its two largest units. It may be as long as a
// guest claims.
func Span(seconds float64) string {
	left := uint64(max(seconds, 0))
	units := []struct {
		size uint64 // seconds
		name string
	}{{24 * 60 * 60, "d"}, {60 * 60, "h"}, {60, "min"}, {1, "s"}}
	for i, u := range units {
		n := left / u.size
		if n == 0 && i+1 < len(units) {
			continue
		}
		said := fmt.Sprintf("%d %s", n, u.name)
		if i+1 < len(units) {
			if rest := left % u.size / units[i+1].size; rest > 0 {
				said += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return said
	}
	return ""
}
