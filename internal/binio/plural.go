package binio

import "fmt"

// Plural returns a number with its noun, "1 page", "2 pages".
func Plural[T int | uint32 | uint64](n T, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
