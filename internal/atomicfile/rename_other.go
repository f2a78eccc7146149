//go:build unix && !linux && !darwin

package atomicfile

import "golang.org/x/sys/unix"

// renameNew is not to be had here.
func renameNew(string, string) error { return unix.ENOTSUP }
