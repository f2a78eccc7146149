package flagvalue

import "errors"

// Headers is a flag's value. It takes anything: what it is no header of is said later,
// without the value, which the parser of flags would print.
type Headers []string

// String is the flag's default, for its help.
func (h *Headers) String() string { return "" }

// Type names the value in the help.
func (h *Headers) Type() string { return "header" }

// Set adds a header.
func (h *Headers) Set(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	*h = append(*h, s)
	return nil
}
