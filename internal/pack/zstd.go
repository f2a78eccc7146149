package pack

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Frames that are to be skipped (RFC 8878, 3.1.2): a magic number of sixteen, the size of
// what follows.
const (
	magicSkipped  = 0x184d2a50
	skippedOf     = 0xf // the bits in which the numbers differ
	skippedHeader = 8
	// maxSkipped is how many there may be in front. pzstd has one in front of each frame,
	// with its size (zstd, contrib/pzstd/SkippableFrame.h).
	maxSkipped = 4
)

// isZstd reports whether a file begins with a frame of zstd, behind frames that are to be
// skipped if need be: LZ4 has the like of those.
func isZstd(r io.ReaderAt) bool {
	b, at := make([]byte, skippedHeader), int64(0)
	for range maxSkipped + 1 {
		n, _ := r.ReadAt(b, at) // a short or unreadable file is for others to judge
		switch {
		case bytes.HasPrefix(b[:n], magicZstd):
			return true
		case n < len(b) || binary.LittleEndian.Uint32(b)&^skippedOf != magicSkipped:
			return false
		}
		at += skippedHeader + int64(binary.LittleEndian.Uint32(b[4:]))
	}
	return false
}
