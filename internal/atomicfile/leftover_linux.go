package atomicfile

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// File systems of one machine that x/sys/unix has no name for: their statfs f_type,
// from zfs' zfs_vfsops.h, and from the kernel's ntfs3 and jfs.
const (
	magicZFS   = 0x2fc12fc1
	magicNTFS3 = 0x7366746e
	magicJFS   = 0x3153464a
)

// localSystems are the file systems that one kernel alone writes, so that a lock
// which nobody holds says that nobody writes. On NFS, SMB, FUSE and the like the
// writer may be on another machine, and a lock known on this one only.
func localSystems() []uint64 {
	return []uint64{
		unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC,
		unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, magicZFS,
		unix.REISERFS_SUPER_MAGIC, unix.NILFS_SUPER_MAGIC, magicJFS,
		unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC, magicNTFS3,
	}
}

// locksCount tells whether all who may write f see its lock.
func locksCount(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	return slices.Contains(localSystems(), uint64(uint32(st.Type))) //nolint:gosec // a magic number of 32 bits, its sign extended
}
