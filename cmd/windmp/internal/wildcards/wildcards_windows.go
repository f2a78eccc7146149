//go:build windows

package wildcards

import (
	"path/filepath"
	"strings"
)

// Expand replaces patterns such as *.dmp by the files that they name:
// Windows leaves that to the program. A pattern that names none stays as it is.
func Expand(args []string) []string {
	var files []string
	for _, arg := range args {
		names := []string{arg}
		if strings.ContainsAny(filepath.Base(arg), "*?") { // which no file has in its name
			if found, err := filepath.Glob(arg); err == nil && len(found) > 0 {
				names = found
			}
		}
		files = append(files, names...)
	}
	return files
}
