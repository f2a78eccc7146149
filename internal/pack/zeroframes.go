package pack

import (
	"bytes"
	"sync"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
)

// zeroFrames knows which frames hold nothing but zeros.
type zeroFrames struct {
	mu sync.Mutex
	// packed is one of them as it lies in the file, size what is in it: what lies
	// there in the same bytes holds the same.
	packed []byte
	size   uint32
	// known says what was found of a frame, unknown if nothing was.
	known []zeroState
}

type zeroState uint8

const (
	unknown zeroState = iota
	allZeros
	hasData
)

// NextData returns the first offset from off on where there is no frame of zeros. Of
// each frame that can be one some bytes are read, the first time.
func (f *Frames) NextData(off int64) int64 {
	if off < 0 {
		return off
	}
	first, ok := f.table.EntryByDecompressedOffset(uint64(off))
	if !ok {
		return f.Size()
	}
	for id := first.ID; id < f.table.NumFrames(); id++ {
		e, _ := f.table.EntryByID(id)
		if !f.isZeros(e) {
			return max(off, int64(e.DecompressedOffset)) //nolint:gosec // below the size
		}
	}
	return f.Size()
}

// isZeros reports whether a frame holds zeros alone. What is much larger than packed
// zeros is not looked at.
func (f *Frames) isZeros(e seekable.FrameOffsetEntry) bool {
	const atLeast, times = 64, 1024
	if e.CompressedSize > atLeast+e.DecompressedSize/times {
		return false
	}
	z := &f.zeros
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.known == nil {
		z.known = make([]zeroState, f.table.NumFrames())
	}
	state := &z.known[e.ID]
	if *state != unknown {
		return *state == allZeros
	}
	packed := make([]byte, e.CompressedSize)
	if err := f.read(packed, e); err != nil {
		return false // reading it says so
	}
	if z.size == e.DecompressedSize && bytes.Equal(z.packed, packed) {
		*state = allZeros
		return true
	}
	*state = hasData
	_ = f.cache.use(e.ID, func(data []byte) { // what can't be unpacked is no hole
		if len(bytes.TrimLeft(data, "\x00")) == 0 {
			*state, z.packed, z.size = allZeros, packed, e.DecompressedSize
		}
	})
	return *state == allZeros
}
