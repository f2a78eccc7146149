//go:build !windows

package screen

import "os"

// showsColors tells whether a terminal understands escape sequences: all do.
func showsColors(*os.File) bool { return true }
