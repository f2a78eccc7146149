package finding

import (
	"fmt"
	"strconv"
	"strings"

	"windmp/physmem"
)

// quote makes text from the guest safe to print: control characters, and so
// terminal escape sequences, become escapes.
func Quote(s string) string { return strconv.QuoteToASCII(s) }

// rangesShown bounds how many ranges a sentence names.
const rangesShown = 4

// rangesText names physical ranges, the first few of many.
func RangesText(list []physmem.Range) string {
	parts := make([]string, 0, rangesShown+1)
	for i, r := range list {
		if i == rangesShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("PA %#x-%#x", r.Start, r.End()-1))
	}
	return strings.Join(parts, ", ")
}

// hex prints a number as reports show it.
func Hex[T ~uint8 | ~uint16 | ~uint32 | ~uint64](v T) string { return fmt.Sprintf("%#x", uint64(v)) }
