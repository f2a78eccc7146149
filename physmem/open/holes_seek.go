//go:build linux || darwin

package open

import (
	"errors"
	"io"
	"syscall"
)

// NextData implements [physmem.DataFinder].
func (s *FileSource) NextData(off int64) int64 {
	next, err := s.Seek(off, seekData)
	switch {
	case err == nil:
		return next
	case !errors.Is(err, syscall.ENXIO):
		return off // this file system does not tell
	}
	// No data from off on. If the file has become shorter, the read shall fail.
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return off
	}
	return end
}
