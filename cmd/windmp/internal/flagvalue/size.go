package flagvalue

import (
	"errors"
	"fmt"

	"windmp/convert/stage"
	"windmp/internal/binio"
)

// sizesAre says how sizes are written.
const sizesAre = "For example 1GB (10^9) or 1GiB (2^30)"

// ParseSize reads a size for people, which is not 0.
func ParseSize(flag, s string) (int64, error) {
	n, ok := binio.ParseBytes(s)
	if !ok {
		return 0, &stage.UsageError{Reason: fmt.Sprintf("%s %q is no size", flag, s), Hint: sizesAre}
	}
	return n, nil
}

// Size is a flag's value: a number of bytes for people.
type Size int64

// String is the flag's default, for its help.
func (s *Size) String() string {
	if *s == 0 {
		return ""
	}
	return fmt.Sprint(int64(*s))
}

// Set parses a value.
func (s *Size) Set(text string) error {
	n, err := ParseSize("", text)
	if err != nil {
		return errors.New("want a size such as 64, 4KB (1000) or 4KiB (1024)")
	}
	*s = Size(n)
	return nil
}

// Type names the value in the help.
func (s *Size) Type() string { return "size" }
