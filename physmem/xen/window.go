package xen

import (
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
)

// windowSize is how much of a stream is read at once: the list of a record of pages has
// 8 KiB, and behind it the pages are passed over.
const windowSize = 16 << 10

// window reads the small things of a stream, one after the other.
type window struct {
	file *file
	off  uint64
	buf  []byte // what the file has at off
	room [windowSize]byte
}

// at returns n bytes, at most windowSize, at off, which must lie in the file: they are
// the caller's until the next call.
func (w *window) at(off uint64, n int) ([]byte, error) {
	if off < w.off || off-w.off > uint64(len(w.buf)) || uint64(n) > uint64(len(w.buf))-(off-w.off) { //nolint:gosec // a constant, or at most windowSize
		w.buf = w.room[:w.file.has.Clip(off, windowSize)]
		w.off = off
		if n > len(w.buf) {
			w.buf = nil
			return nil, &physmem.ReadError{Offset: int64(min(off, w.file.size())), Err: io.ErrUnexpectedEOF} //nolint:gosec // inside the file
		}
		if err := binio.ReadFull(w.file.src, w.buf, int64(off)); err != nil { //nolint:gosec // inside the file
			w.buf = nil
			return nil, &physmem.ReadError{Offset: int64(off), Err: err} //nolint:gosec // inside the file
		}
	}
	return w.buf[off-w.off:][:n], nil
}
