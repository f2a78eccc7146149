//go:build unix && !linux

package atomicfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// locksCount tells whether all who may write f see its lock: not on a network's
// file system, where the writer may be on another machine.
func locksCount(f *os.File) bool {
	var st unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &st)
	return err == nil && st.Flags&unix.MNT_LOCAL != 0
}
