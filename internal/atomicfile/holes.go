package convert

import (
	"bytes"
	"io"
)

// SparseMode says what becomes of zeros in an output file.
type SparseMode string

const (
	// SparseAuto leaves holes for stretches of 64 KiB that are zero: what is
	// left is still read and written in large pieces.
	SparseAuto SparseMode = "auto"
	// SparseAlways leaves a hole for every zero page. Free space is not checked
	// beforehand, since it is not known how much the dump takes.
	SparseAlways SparseMode = "always"
	// SparseNever writes every byte.
	SparseNever SparseMode = "never"
)

// ParseSparseMode reads a mode's name; the error is a [*UsageError].
func ParseSparseMode(s string) (SparseMode, error) {
	return parseMode("sparse", s, SparseAuto, SparseAlways, SparseNever)
}

// grain is the least hole in bytes, 0 for none. It divides blockSize, so that a
// hole never depends on where blocks end.
func (m SparseMode) grain() int {
	switch m {
	case SparseAlways:
		return 4 << 10
	case SparseNever:
		return 0
	case SparseAuto:
	}
	return 64 << 10
}

// zeros is what holes are compared with.
var zeros [64 << 10]byte

// holeWriter writes to a file that reads as zeros where nothing was written, and
// leaves holes there. It is safe for concurrent use, as far as w is.
type holeWriter struct {
	w     io.WriterAt
	grain int
}

// WriteAt writes what of p is not zero, in as few pieces as possible.
func (h *holeWriter) WriteAt(p []byte, off int64) (int, error) {
	done := 0 // written, or left as a hole
	for at := 0; at < len(p); {
		// Grains are aligned in the file, not in p.
		end := min(at+h.grain-int((off+int64(at))%int64(h.grain)), len(p))
		if !bytes.Equal(p[at:end], zeros[:end-at]) {
			at = end
			continue
		}
		if n, err := h.flush(p[done:at], off+int64(done)); err != nil {
			return done + n, err
		}
		at, done = end, end
	}
	n, err := h.flush(p[done:], off+int64(done))
	return done + n, err
}

func (h *holeWriter) flush(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return h.w.WriteAt(p, off)
}
