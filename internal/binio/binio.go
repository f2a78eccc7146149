// Package binio holds the arithmetic and the reads that every parser of a file
// needs and that are easy to get wrong on hostile input: sums that cannot
// wrap, ranges that are compared by subtraction, counts that are limited by
// what the file can hold, and reads that are either complete or an error.
//
// Lengths, counts and offsets taken from a file stay uint64 until they have
// passed one of these functions.
package binio

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrTooLarge is returned when a claimed size is above the caller's cap.
var ErrTooLarge = errors.New("size above the limit")

// Within reports whether the n bytes at off lie inside size bytes. It never
// adds, so no choice of off and n can wrap it.
func Within(off, n, size uint64) bool {
	return off <= size && n <= size-off
}

// Sum returns a+b, and false if that does not fit 64 bits.
func Sum(a, b uint64) (uint64, bool) {
	if b > math.MaxUint64-a {
		return 0, false
	}
	return a + b, true
}

// Clip returns how many of the n bytes at off lie inside size bytes.
func Clip(off, n, size uint64) uint64 {
	if off >= size {
		return 0
	}
	return min(n, size-off)
}

// Int64 returns v as an int64, and false if it does not fit. File offsets are
// int64 in Go and uint64 in most formats.
func Int64(v uint64) (int64, bool) {
	if v > math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}

// Uint64 returns a size or an offset that is known not to be negative; a
// negative one becomes 0, so that it can never turn into a huge one.
func Uint64(v int64) uint64 {
	if v < 0 {
		return 0
	}
	return uint64(v)
}

// ReadFull fills p from r at off. A file that ends before p is full gives
// io.ErrUnexpectedEOF; any other error is the reader's own.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	_, err := ReadSome(r, p, off)
	return err
}

// ReadSome is ReadFull with the number of bytes that were read. Its error is
// nil if and only if p is full, whatever the reader says: io.ReaderAt allows
// io.EOF beside a full buffer.
func ReadSome(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	switch {
	case n >= len(p):
		return len(p), nil
	case err == nil, errors.Is(err, io.EOF):
		return max(n, 0), io.ErrUnexpectedEOF
	default:
		return max(n, 0), err
	}
}

// firstRead is what ReadBytes allocates on the word of a size alone, in bytes.
const firstRead = 64 << 10

// ReadBytes returns the n bytes of r at off, when n is at most limit. It
// allocates by what the reader gives, not by what n claims, but for 64 KiB: a short
// file costs three times its own size at most, and returns io.ErrUnexpectedEOF.
func ReadBytes(r io.ReaderAt, off, n, limit uint64) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("0x%x bytes at 0x%x, limit 0x%x: %w", n, off, limit, ErrTooLarge)
	}
	start, ok := Int64(off)
	size, ok2 := Int64(n)
	if !ok || !ok2 || size > math.MaxInt64-start {
		return nil, fmt.Errorf("0x%x bytes at 0x%x: %w", n, off, io.ErrUnexpectedEOF)
	}
	b := make([]byte, min(size, firstRead))
	for done := 0; ; {
		got, err := ReadSome(r, b[done:], start+int64(done))
		done += got
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("0x%x bytes at 0x%x, only 0x%x there: %w", n, off, done, io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		case int64(done) == size:
			return b, nil
		}
		more := make([]byte, min(size, 2*int64(done)))
		copy(more, b)
		b = more
	}
}
