package binio

import (
	"fmt"
	"time"
)

// Span is a time in seconds for people, in its two largest units.
func Span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		n := d / u.size
		if n == 0 && i+1 < len(units) {
			continue
		}
		said := fmt.Sprintf("%d %s", n, u.name)
		if i+1 < len(units) {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				said += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return said
	}
	return ""
}
