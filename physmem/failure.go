package physmem

import (
	"errors"
	"syscall"
)

// ReadFailure returns the first error with which the system refused a read of the
// file by ReadAt, a *ReadError, or nil. Whoever takes unreadable memory for absent
// must ask before concluding anything about the guest. Data that can't be decoded,
// and a file that has become shorter, are no such failure.
func (m *Image) ReadFailure() error {
	if e := m.failure.Load(); e != nil {
		return e
	}
	return nil
}

// remember keeps the first failure of the system.
func (m *Image) remember(err error) {
	var read *ReadError
	var system syscall.Errno
	if errors.As(err, &read) && errors.As(read.Err, &system) {
		m.failure.CompareAndSwap(nil, read)
	}
}
