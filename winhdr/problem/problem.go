// Package problem says what is wrong with a field of a dump's header or of a CONTEXT, and
// knows the pattern of fields that Windows never set.
package problem

import "fmt"

const (
	// Fill is the pattern with which Windows fills a header before it sets
	// fields, so that a field still equal to it was never set. It is
	// the text "PAGE" as a little-endian number, with which a header begins too.
	Fill uint32 = 0x45474150
	// Fill64 is Fill seen by a 64-bit field.
	Fill64 = uint64(Fill)<<32 | uint64(Fill)
)

// Problem is one thing that is wrong with a field.
type Problem struct {
	Field string // Windows' name; an array element as in "Run[3].BasePage"
	// Offset of the field in bytes from the start of the structure that was
	// checked.
	Offset    int
	Got, Want string
	// Fault is what is wrong as a predicate in words, "shares pages with run 0". It is
	// empty where Want has no numbers, and says it: the field is not that.
	Fault string
	// Repairable says that a good dump can be made all the same, because
	// the right value follows from the rest of the header or from guest
	// memory. Each check documents which.
	Repairable bool
}

// Sentence says it to people, without the values: "Rip is not a kernel address".
func (p Problem) Sentence() string {
	if p.Fault != "" {
		return p.Field + " " + p.Fault
	}
	return p.Field + " is not " + p.Want
}

// Saying is p with words for what is wrong.
func (p Problem) Saying(fault string) Problem {
	p.Fault = fault
	return p
}

// Error gives field, offset, and both values.
func (p Problem) Error() string {
	return fmt.Sprintf("%s at 0x%x: got %s, want %s", p.Field, p.Offset, p.Got, p.Want)
}

// Hex is a field's value for a [Problem], and says if it is the pattern of what was never set.
func Hex[T ~uint16 | ~uint32 | ~uint64](v T) string {
	if IsFill(v) {
		return fmt.Sprintf("0x%x ('PAGE' fill, never set)", uint64(v))
	}
	return fmt.Sprintf("0x%x", uint64(v)) // as a number, even if T has a String method
}

// IsFill reports whether a field has the pattern of what was never set.
func IsFill[T ~uint16 | ~uint32 | ~uint64](v T) bool {
	return uint64(v) == uint64(Fill) || uint64(v) == Fill64
}

// PageFill fills b with Fill, beginning with 'P', as Windows does with a header
// before it sets fields.
func PageFill(b []byte) {
	for i := range b {
		b[i] = "PAGE"[i%4]
	}
}
