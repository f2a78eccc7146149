package write

import (
	"context"
	"io"
	"sync"

	"windmp/convert/dump"
)

// Stream writes a layout to w in the order of the file: reading and writing run in
// parallel, a few blocks ahead. It ends at the first error of either side, or when
// ctx is done, and then nothing is being read any more.
func Stream(ctx context.Context, w io.Writer, l dump.Layout, m Memory, opt Options) error {
	ctx, cancel := context.WithCancel(ctx)
	r := reader{memory: m, queue: make(chan chan filled, opt.workers())}
	r.running.Go(func() { r.readAhead(ctx, l) })
	defer r.running.Wait()
	defer cancel()
	for result := range r.queue {
		f := <-result
		if f.err == nil {
			_, f.err = w.Write(f.data)
		}
		if f.err != nil {
			return f.err
		}
		opt.done(int64(len(f.data)))
		r.pool.Put((*[blockSize]byte)(f.data[:blockSize]))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// filled is a block that was read.
type filled struct {
	data []byte
	err  error
}

// reader reads blocks ahead of a stream.
type reader struct {
	memory Memory
	// queue has the results in file order. Each has room for its value, so that
	// nobody waits for a receiver when the stream ends early.
	queue   chan chan filled
	pool    sync.Pool // of *[blockSize]byte
	running sync.WaitGroup
}

// readAhead starts as many reads as the queue has room for.
func (r *reader) readAhead(ctx context.Context, l dump.Layout) {
	defer close(r.queue)
	for b := range blocks(l, r.memory, nil) {
		result := make(chan filled, 1)
		select {
		case r.queue <- result:
		case <-ctx.Done():
			return
		}
		r.running.Go(func() {
			buf, ok := r.pool.Get().(*[blockSize]byte)
			if !ok {
				buf = new([blockSize]byte)
			}
			data := buf[:b.size]
			result <- filled{data: data, err: fill(r.memory, b.parts, data)}
		})
	}
}
