package write

import (
	"context"
	"hash"
	"io"
	"sync"
)

// ahead is how many blocks may be written and not yet summed, beside those that
// workers have in hand.
const ahead = 4

// zeros are what holes are summed as.
var zeros [blockSize]byte

// A follower sums the blocks of a file in their order, while workers write them in
// any: each hands its block on once it is written, and takes a new buffer. There are
// a few more buffers than workers, so that a copy that is faster than the sum waits
// for it. Stretches that were not written are zeros. A nil follower sums nothing,
// and its workers keep their buffer.
type follower struct {
	sum     hash.Hash
	size    int64 // of the file
	written chan numbered
	free    chan []byte
	workers sync.WaitGroup // those that still hand on blocks
}

// numbered is a block that was written, in the order of the file.
type numbered struct {
	seq  int
	off  int64
	data []byte
}

// newFollower makes the follower of a number of workers; nil without a sum.
func newFollower(sum hash.Hash, size int64, workers int) *follower {
	if sum == nil {
		return nil
	}
	sum.Reset()
	f := &follower{sum: sum, size: size, written: make(chan numbered), free: make(chan []byte, workers+ahead)}
	for range workers + ahead {
		f.free <- buffers.Get(blockSize)
	}
	f.workers.Add(workers)
	return f
}

// buffer is one to fill, of blockSize. A worker must have it before it takes a block:
// so the first block that is missing is always in the hands of one that can write it.
func (f *follower) buffer(ctx context.Context) ([]byte, error) {
	if f == nil {
		return buffers.Get(blockSize), nil
	}
	select {
	case b := <-f.free:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// follow takes a written block over, and returns the buffer for the next one.
func (f *follower) follow(ctx context.Context, b block, buf []byte) ([]byte, error) {
	if f == nil {
		return buf, nil
	}
	select {
	case f.written <- numbered{seq: b.seq, off: b.off, data: buf[:b.size]}:
		return f.buffer(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// leave says that a worker hands on no more blocks.
func (f *follower) leave() {
	if f != nil {
		f.workers.Done()
	}
}

// release gives the buffers back when all have ended.
func (f *follower) release() {
	for f != nil && len(f.free) > 0 {
		buffers.Put(<-f.free)
	}
}

// run sums until the last worker has left.
func (f *follower) run(ctx context.Context) error {
	go func() {
		f.workers.Wait()
		close(f.written)
	}()
	early := map[int]numbered{} // at most as many as there are buffers
	next, at := 0, int64(0)
	for b := range f.written {
		early[b.seq] = b
		for {
			due, ok := early[next]
			if !ok {
				break
			}
			delete(early, next)
			if err := f.hole(ctx, due.off-at); err != nil {
				return err
			}
			_, _ = f.sum.Write(due.data) // a hash returns no error
			next, at = next+1, due.off+int64(len(due.data))
			f.free <- due.data[:blockSize] // has room for all
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.hole(ctx, f.size-at)
}

// hole sums n zeros.
func (f *follower) hole(ctx context.Context, n int64) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		part := min(n, blockSize)
		_, _ = f.sum.Write(zeros[:part]) // a hash returns no error
		n -= part
	}
	return nil
}

// A summedWriter sums what is written to it while it is being written.
type summedWriter struct {
	w   io.Writer
	sum hash.Hash
}

// summed is w with its sum, w itself without one.
func summed(w io.Writer, sum hash.Hash) io.Writer {
	if sum == nil {
		return w
	}
	sum.Reset()
	return &summedWriter{w, sum}
}

// Write implements io.Writer.
func (s *summedWriter) Write(p []byte) (int, error) {
	var summing sync.WaitGroup
	summing.Go(func() { _, _ = s.sum.Write(p) }) // a hash returns no error
	defer summing.Wait()
	return s.w.Write(p)
}
