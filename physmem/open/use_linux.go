package open

import "syscall"

const (
	// ofdGetLock asks who holds a lock that would be in the way, of those that belong to
	// an open file (F_OFD_GETLK, Linux include/uapi/asm-generic/fcntl.h).
	ofdGetLock = 36
	// writeLock is the byte of a disk image that QEMU keeps a lock on while it may write
	// to it (QEMU block/file-posix.c: RAW_LOCK_PERM_BASE 100, and bit 1, BLK_PERM_WRITE).
	writeLock = 101
)

// InUse implements [physmem.UseTeller]: it asks for QEMU's lock.
func (s *FileSource) InUse() bool {
	c, err := s.SyscallConn()
	if err != nil {
		return false
	}
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: writeLock, Len: 1}
	asked := syscall.EINVAL
	err = c.Control(func(fd uintptr) {
		if err := syscall.FcntlFlock(fd, ofdGetLock, &l); err == nil {
			asked = 0
		}
	})
	return err == nil && asked == 0 && l.Type != syscall.F_UNLCK
}
