package winhdr

import "fmt"

// Problem is one thing that is wrong with a field.
type Problem struct {
	Field string // Windows' name; an array element as in "Run[3].BasePage"
	// Offset of the field in bytes from the start of the structure that was
	// checked, Header64 or Context64.
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

// saying is p with words for what is wrong.
func (p Problem) saying(fault string) Problem {
	p.Fault = fault
	return p
}

// Error gives field, offset, and both values.
func (p Problem) Error() string {
	return fmt.Sprintf("%s at 0x%x: got %s, want %s", p.Field, p.Offset, p.Got, p.Want)
}

func hex[T ~uint16 | ~uint32 | ~uint64](v T) string {
	if isFill(v) {
		return fmt.Sprintf("0x%x ('PAGE' fill, never set)", uint64(v))
	}
	return fmt.Sprintf("0x%x", uint64(v)) // as a number, even if T has a String method
}

func isFill[T ~uint16 | ~uint32 | ~uint64](v T) bool {
	return uint64(v) == uint64(Fill) || uint64(v) == Fill64
}
