package write

import (
	"context"
	"io"
	"sync"

	"windmp/convert/stage"
)

// Stream writes the output to w in the order of the file: reading and writing run
// in parallel, a few blocks ahead. It ends at the first error of either side, or
// when ctx is done, and then nothing is being read any more. The error is a
// [*stage.Error].
func Stream(ctx context.Context, w io.Writer, o Output, opt Options) error {
	if err := o.stream(ctx, summed(w, opt.Sum), &opt); err != nil {
		return &stage.Error{Stage: stage.Write, Err: err}
	}
	return opt.complete()
}

func (o *Output) stream(ctx context.Context, w io.Writer, opt *Options) error {
	meter := stage.NewMeter(stage.Write, o.Layout.Size(), 0, opt.Progress)
	ctx, cancel := context.WithCancel(ctx)
	n := opt.workers()
	r := reader{output: o, queue: make(chan chan filled, n)}
	r.running.Go(func() { r.readAhead(ctx) })
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
		meter.Add(len(f.data))
		buffers.Put(f.data)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	meter.Finish()
	return nil
}

// filled is a block that was read.
type filled struct {
	data []byte
	err  error
}

// reader reads blocks ahead of a stream.
type reader struct {
	output *Output
	// queue has the results in file order. Each has room for its value, so that
	// nobody waits for a receiver when the stream ends early.
	queue   chan chan filled
	running sync.WaitGroup
}

// readAhead starts as many reads as the queue has room for.
func (r *reader) readAhead(ctx context.Context) {
	defer close(r.queue)
	for b := range r.output.blocks(nil) {
		result := make(chan filled, 1)
		select {
		case r.queue <- result:
		case <-ctx.Done():
			return
		}
		r.running.Go(func() {
			data := buffers.Get(blockSize)[:b.size]
			result <- filled{data: data, err: fill(r.output.Memory, b.parts, data)}
		})
	}
}
