package atomicfile

import (
	"io"
	"sync/atomic"
)

const (
	// earlyPiece is how much is handed to the disk at once, in bytes, earlyLag how
	// many pieces later. Measured on ext4 (docs/performance.md): smaller pieces, or
	// the workers handing over their own blocks, are slower than no early
	// write-back at all; larger ones leave more for the end.
	earlyPiece = 4 << 20
	earlyLag   = 2
	// earlyQueue bounds the pieces that wait; what does not fit is left to the
	// fsync.
	earlyQueue = 64
)

// Descriptor is an open file as the system knows it: an os.File.
type Descriptor interface{ Fd() uintptr }

// Writable is an open file to write to.
type Writable interface {
	io.WriterAt
	Descriptor
}

// WriteEarly gives a writer of the file f, from whatever comes in about that order,
// through which the data is on its way to the disk while more is written: a Sync at
// the end finds little to do. What it writes goes through to, which is f or a writer
// of f. end is to be called after the last write, and before f is closed. Where the
// system has no call for it, w is to itself.
func WriteEarly(f Descriptor, to io.WriterAt) (w io.WriterAt, end func()) {
	if !writesBack {
		return to, func() {}
	}
	e := newEarlyWriter(f, to)
	return e, e.end
}

// earlyWriter has the file written to the disk while it is still being filled, so
// that the fsync at the end finds little to do. Another goroutine does it: the
// call may wait for the disk.
type earlyWriter struct {
	f      Descriptor
	to     io.WriterAt  // writes to f
	next   atomic.Int64 // the first piece that was not handed over
	pieces chan piece
	ended  atomic.Bool
	done   chan struct{}
}

// piece is a range of the file in bytes.
type piece struct{ off, n int64 }

func newEarlyWriter(f Descriptor, to io.WriterAt) *earlyWriter {
	e := &earlyWriter{f: f, to: to, pieces: make(chan piece, earlyQueue), done: make(chan struct{})}
	go func() {
		defer close(e.done)
		for p := range e.pieces {
			if !e.ended.Load() {
				startWriteback(e.f, p.off, p.n)
			}
		}
	}()
	return e
}

// WriteAt implements io.WriterAt.
func (e *earlyWriter) WriteAt(p []byte, off int64) (int, error) {
	n, err := e.to.WriteAt(p, off)
	e.reached(off / earlyPiece)
	return n, err
}

// reached hands over what lies far enough behind a piece that is being written.
// Blocks come in no strict order: one that is late is left to the fsync.
func (e *earlyWriter) reached(at int64) {
	from := e.next.Load()
	to := at - earlyLag
	if to <= from || !e.next.CompareAndSwap(from, to) {
		return
	}
	select {
	case e.pieces <- piece{from * earlyPiece, (to - from) * earlyPiece}:
	default:
	}
}

// end ends the hand-over; the file stays open. No WriteAt may come after it.
func (e *earlyWriter) end() {
	e.ended.Store(true)
	close(e.pieces)
	<-e.done
}
