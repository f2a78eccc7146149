//go:build unix

package convert

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace is what an unprivileged user may write into dir's file system, in
// bytes.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:gosec,unconvert // the fields' types differ by system
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
