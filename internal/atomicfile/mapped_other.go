//go:build !linux

package atomicfile

import "errors"

// inMemory reports whether a file lies in memory, where many writers are faster through
// a [Mapped]. That is known of Linux alone.
func inMemory(Descriptor) bool { return false }

// A Mapped writes to a file through shared mappings. There is none here.
type Mapped struct{}

// Map is not to be had here.
func Map(Writable, int64) (*Mapped, error) { return nil, errors.ErrUnsupported }

// WriteAt implements io.WriterAt.
func (*Mapped) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Close does nothing.
func (*Mapped) Close() error { return nil }
