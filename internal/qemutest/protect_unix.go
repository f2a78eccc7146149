//go:build unix

package qemutest

import "golang.org/x/sys/unix"

// protected is a copy of b that nobody can write to: who tries ends the process.
func protected(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return b, nil
	}
	m, err := unix.Mmap(-1, 0, len(b), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	copy(m, b)
	return m, unix.Mprotect(m, unix.PROT_READ)
}
