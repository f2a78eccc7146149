package physmem

import (
	"math"

	"windmp/internal/binio"
)

// A Growing is a [Source] of which not all is there yet: one that is unpacked while it is
// read. Its ReadAt waits for the bytes that it is asked for, its Size for the end.
type Growing interface {
	// Reach waits until there are n bytes, or there will be no more, and returns how
	// many there are then.
	Reach(n int64) int64
}

// Reach waits until src has n bytes, or has no more to come, and returns how many it has
// then: one that is not [Growing], its size.
func Reach(src Source, n int64) int64 {
	if g, ok := src.(Growing); ok {
		return g.Reach(n)
	}
	return src.Size()
}

// A Length is that of a source as far as it is known. An [Opener] that goes through a
// file in order, and asks it and not Size, goes on while a [Growing] one grows.
// It is for one goroutine.
type Length struct {
	src   Source
	known uint64 // bytes that there are
}

// NewLength returns the length of src, of which it asks nothing yet.
func NewLength(src Source) *Length { return &Length{src: src} }

// reach finds out whether there are n bytes.
func (l *Length) reach(n uint64) {
	if n > l.known {
		l.known = binio.Uint64(Reach(l.src, int64(min(n, math.MaxInt64))))
	}
}

// Has reports whether the source has n bytes at an offset.
func (l *Length) Has(off, n uint64) bool {
	end, ok := binio.Sum(off, n)
	if !ok {
		return false
	}
	l.reach(end)
	return end <= l.known
}

// Clip returns how many of n bytes at an offset the source has.
func (l *Length) Clip(off, n uint64) uint64 {
	end, ok := binio.Sum(off, n)
	if !ok {
		end = math.MaxUint64
	}
	l.reach(end)
	return binio.Clip(off, n, l.known)
}

// Whole returns the source's size in bytes, for which it waits.
func (l *Length) Whole() uint64 { return binio.Uint64(l.src.Size()) }

// Head returns the first n bytes of src, or all of a shorter one. The error is a
// *ReadError.
func Head(src Source, n int) ([]byte, error) {
	b := make([]byte, NewLength(src).Clip(0, binio.Uint64(int64(n))))
	if got, err := binio.ReadSome(src, b, 0); err != nil {
		return nil, &ReadError{Offset: int64(got), Err: err}
	}
	return b, nil
}
