package finding

import (
	"fmt"
	"strconv"
	"strings"

	"windmp/physmem"
)

// Quote is text from the guest or of a file's name, for the sentence of a finding: in
// quotes, and control characters, with them terminal escape sequences, as escapes.
func Quote(s string) string { return strconv.QuoteToASCII(s) }

// rangesShown bounds how many ranges a finding names.
const rangesShown = 4

// Ranges names physical ranges, the first few of many, for [Finding.Where]: "PA
// 0x1000-0x1fff".
func Ranges(list []physmem.Range) string {
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
