//go:build unix

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkName has nothing to refuse: what is no file shows when it is looked at.
func checkName(string) error { return nil }

// checkReplace has nothing to refuse: a rename replaces what it may, open or not.
func checkReplace(string) error { return nil }

// publish gives the finished file its name. Without replace a rename that refuses a
// name taken meanwhile does it, where the file system has none a hard link, and
// one without hard links gets a look and a rename.
func publish(tmp, name string, replace bool) error {
	if replace {
		return os.Rename(tmp, name)
	}
	err := renameNew(tmp, name)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		err = linkNew(tmp, name)
	}
	if errors.Is(err, fs.ErrExist) {
		return &TargetError{Path: name, Err: ErrExists}
	}
	return err
}

// linkNew is renameNew by a hard link, or by a look and a rename, between which
// the name may be taken.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if _, statErr := os.Lstat(to); errors.Is(err, fs.ErrExist) || !errors.Is(statErr, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

// removeFile removes a file.
func removeFile(name string) error { return os.Remove(name) }

// AllowHoles lets a file have holes. On Unix any can.
func AllowHoles(Descriptor) {}

// untilClosed takes the name from a temporary file, so that it goes with the
// process, however that ends. Where that can't be, the name stays until the end.
func untilClosed(f *os.File) (*os.File, error) {
	_ = os.Remove(f.Name())
	return f, nil
}

// freeSpace is what an unprivileged user may write into dir's file system, in
// bytes.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:gosec,unconvert // the fields' types differ by system
}

// Allocated is what a file takes up on the disk, in bytes, without its holes; 0 where
// the system does not tell.
func Allocated(st fs.FileInfo) int64 {
	const block = 512 // that of st_blocks, whatever the file system has (stat(2))
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return int64(s.Blocks) * block //nolint:unconvert // other systems have other types
	}
	return 0
}

// syncDir makes a rename in dir durable. Some file systems can't sync a
// folder; that is no error.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// NoSpace tells whether a file could not be written for want of space, or of what its
// owner may take of it.
func NoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
