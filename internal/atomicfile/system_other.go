//go:build !unix && !windows

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

// What a system without locks, hard links and a word on its free space (js, wasip1)
// can do is done with the calls that Go has everywhere.

// checkName has nothing to refuse.
func checkName(string) error { return nil }

// checkReplace has nothing to refuse.
func checkReplace(string) error { return nil }

// publish gives the finished file its name, after a look whether it is free.
func publish(tmp, name string, replace bool) error {
	if !replace {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(&TargetError{Path: name, Err: ErrExists}, err)
		}
	}
	return os.Rename(tmp, name)
}

// removeFile removes a file.
func removeFile(name string) error { return os.Remove(name) }

// AllowHoles does nothing.
func AllowHoles(Descriptor) {}

// untilClosed leaves the file its name until it is closed.
func untilClosed(f *os.File) (*os.File, error) { return f, nil }

// freeSpace is not known.
func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }

// Allocated is 0: the system does not tell with a file's size what of it is holes.
func Allocated(fs.FileInfo) int64 { return 0 }

// syncDir does nothing.
func syncDir(string) error { return nil }

// openToLock is not to be had: a leftover stays where it is.
func openToLock(string) (*os.File, error) { return nil, errNoLock }

// locksCount is false: nothing can be locked.
func locksCount(*os.File) bool { return false }

// tryLock is not to be had.
func tryLock(*os.File) error { return errNoLock }

// NoSpace is not known.
func NoSpace(error) bool { return false }
