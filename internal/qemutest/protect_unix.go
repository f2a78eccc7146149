//go:build unix

package qemutest

import (
	"errors"

	"golang.org/x/sys/unix"
)

// protected is size bytes that fill fills, and that nobody can write to afterwards: who
// tries ends the process. They are not the heap's, whose next collection would come the
// later for them.
func protected(size int, fill func(b []byte) error) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	if err := fill(b); err != nil {
		return nil, errors.Join(err, unix.Munmap(b))
	}
	return b, unix.Mprotect(b, unix.PROT_READ)
}
