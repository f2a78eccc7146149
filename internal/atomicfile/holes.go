package atomicfile

import (
	"bytes"
	"io"
)

// zeros is what holes are compared with.
var zeros [64 << 10]byte

// MaxGrain is the largest grain of a [HoleWriter], in bytes.
const MaxGrain = len(zeros)

// A HoleWriter writes to a file that reads as zeros where nothing was written, and
// leaves holes there. It is safe for concurrent use, as far as the file is.
type HoleWriter struct {
	w     io.WriterAt
	grain int
}

// NewHoleWriter leaves holes in w for stretches of grain bytes that are zero and
// begin at a multiple of grain; it is at most [MaxGrain]. Where writes end does not
// matter if they do so at such multiples. Once all is written, the file must be
// truncated to its size: it may end in a hole. ([AllowHoles] comes first.)
func NewHoleWriter(w io.WriterAt, grain int) *HoleWriter { return &HoleWriter{w: w, grain: grain} }

// WriteAt writes what of p is not zero, in as few pieces as possible.
func (h *HoleWriter) WriteAt(p []byte, off int64) (int, error) {
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

func (h *HoleWriter) flush(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return h.w.WriteAt(p, off)
}
