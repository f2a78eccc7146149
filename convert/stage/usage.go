package stage

import (
	"fmt"
	"strings"
)

// UsageError is an option or argument that makes no sense. The command line
// turns it into exit code 2.
type UsageError struct {
	Reason string
	Hint   string
}

func (e *UsageError) Error() string { return e.Reason }

// ParseMode is the one of modes with the name s; the error is a [*UsageError] that
// lists them.
func ParseMode[M ~string](option, s string, modes ...M) (M, error) {
	names := make([]string, 0, len(modes))
	for _, m := range modes {
		if s == string(m) {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", &UsageError{Reason: fmt.Sprintf("%s %q is not one of %s", option, s, strings.Join(names, ", "))}
}
