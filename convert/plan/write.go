package plan

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"windmp/convert/stage"
	"windmp/physmem"
)

const (
	// BlockSize is one read and one write of the copy, in bytes. Larger ones cost
	// about twice the processor time on ext4 once memory has been used before
	// (docs/performance.md).
	BlockSize = 256 << 10
	// DefaultWorkers copies with two readers and writers: one reads while the other
	// writes, and a file has one writer at a time in Linux (docs/performance.md).
	DefaultWorkers = 2
	// MaxWorkers bounds the memory that the copy takes: a block each.
	MaxWorkers = 16
)

// block is one piece of the output: parts of one or more spans.
type block struct {
	off   int64 // in the output file
	size  int   // bytes, at most blockSize
	spans []span
}

// add appends n bytes of s, joined to what it continues.
func (b *block) add(s span, n uint64) {
	if n == 0 {
		return
	}
	b.size += int(n) //nolint:gosec // at most blockSize
	if i := len(b.spans) - 1; i >= 0 {
		if last := &b.spans[i]; last.pa+last.size == s.pa && last.absent == s.absent {
			last.size += n
			return
		}
	}
	b.spans = append(b.spans, span{pa: s.pa, size: n, absent: s.absent})
}

// blocks yields the pages of the output in file order, cut so that each block
// ends at a multiple of blockSize in the output. skip is asked how many bytes of
// a span of zeros, where a block would begin, are left out: a multiple of
// blockSize.
func (m *memoryPlan) blocks(skip func(span) uint64) iter.Seq[block] {
	return func(yield func(block) bool) {
		b := block{off: m.firstPage}
		room := func() uint64 { return uint64(BlockSize - (b.off+int64(b.size))%BlockSize) }
		for s := range m.dataSpans {
			for s.size > 0 {
				if b.size == 0 && room() == BlockSize && s.absent {
					left := skip(s)
					b.off += int64(left) //nolint:gosec // at most the output's size
					s = s.behind(left)
				}
				n := min(s.size, room())
				b.add(s, n)
				s = s.behind(n)
				if room() != BlockSize || b.size == 0 {
					continue
				}
				if !yield(b) {
					return
				}
				b = block{off: b.off + int64(b.size)}
			}
		}
		if b.size > 0 {
			yield(b)
		}
	}
}

// behind is s without its first n bytes.
func (s span) behind(n uint64) span {
	s.pa += n
	s.size -= n
	return s
}

// noSkip leaves nothing out.
func noSkip(span) uint64 { return 0 }

// skipper leaves out, in a file with holes, the zeros that no edit changes.
func (p *Plan) skipper(o *overlay, opt WriteOptions, m *stage.Meter) func(span) uint64 {
	if opt.Sparse.Grain() == 0 {
		return noSkip
	}
	return func(s span) uint64 {
		n := min(s.size, o.nextEdit(s.pa)-s.pa) &^ (BlockSize - 1)
		m.Done.Add(int64(n)) //nolint:gosec // at most the output's size
		return n
	}
}

// fill reads b's bytes as the output holds them into buf.
func (p *Plan) fill(o *overlay, b block, buf []byte) error {
	for _, s := range b.spans {
		part := buf[:s.size]
		buf = buf[s.size:]
		if s.absent {
			clear(part)
		} else if _, err := p.Guest.Image.ReadAt(part, int64(s.pa)); err != nil { //nolint:gosec // below 2^52
			return fmt.Errorf("reading guest memory at PA %#x: %w", s.pa, err)
		}
		o.apply(part, s.pa)
	}
	return nil
}

// writeAll copies header and pages to a file by a pool of workers, each with a
// block of its own and positional reads and writes.
func (p *Plan) writeAll(ctx context.Context, w io.WriterAt, opt WriteOptions) error {
	if err := p.writeFront(io.NewOffsetWriter(w, 0)); err != nil {
		return fmt.Errorf("writing the header: %w", err)
	}
	meter := stage.NewMeter(stage.Write, p.Size, p.memory.firstPage, opt.Progress)
	o := newOverlay(p.Edits)
	work := make(chan block)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(work)
		for b := range p.memory.blocks(p.skipper(o, opt, meter)) {
			select {
			case work <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range p.workers(opt) {
		group.Go(func() error {
			buf := make([]byte, BlockSize)
			for b := range work {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				data := buf[:b.size]
				if err := p.fill(o, b, data); err != nil {
					return err
				}
				if _, err := w.WriteAt(data, b.off); err != nil {
					return fmt.Errorf("writing at file offset %#x: %w", b.off, err)
				}
				meter.Add(len(data))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	meter.Finish()
	return nil
}

// workers is the number of copiers in force. A compressed source is inflated by
// its readers, so there it is one for each processor.
func (p *Plan) workers(opt WriteOptions) int {
	n := opt.Workers
	if n <= 0 {
		n = DefaultWorkers
		if p.Guest.Image.Format() == physmem.FormatKdump {
			n = max(n, runtime.GOMAXPROCS(0))
		}
	}
	return min(n, MaxWorkers)
}

// filled is a block read ahead for a stream.
type filled struct {
	data []byte
	err  error
}

// Write streams the dump to w in file order: reading and writing run in
// parallel, a few blocks ahead. It ends at the first error of either side, or
// when ctx is done; the error is a [*StageError].
func (p *Plan) Write(ctx context.Context, w io.Writer, opt WriteOptions) error {
	if err := p.Readable(); err != nil {
		return err
	}
	if err := p.stream(ctx, w, opt); err != nil {
		return &stage.Error{Stage: stage.Write, Err: err}
	}
	return nil
}

func (p *Plan) stream(ctx context.Context, w io.Writer, opt WriteOptions) error {
	if err := p.writeFront(w); err != nil {
		return fmt.Errorf("writing the header: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	meter := stage.NewMeter(stage.Write, p.Size, p.memory.firstPage, opt.Progress)
	pool := sync.Pool{New: func() any { return new([BlockSize]byte) }}
	for f := range p.readAhead(ctx, &pool, p.workers(opt)) {
		r := <-f
		if r.err == nil {
			_, r.err = w.Write(r.data)
		}
		if r.err != nil {
			return r.err
		}
		meter.Add(len(r.data))
		pool.Put((*[BlockSize]byte)(r.data[:BlockSize]))
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	meter.Finish()
	return nil
}

// readAhead starts up to n reads and yields their results in file order. Every
// result channel holds its value without a receiver, so no reader is left
// waiting when the stream ends early.
func (p *Plan) readAhead(ctx context.Context, pool *sync.Pool, n int) <-chan chan filled {
	queue := make(chan chan filled, n)
	o := newOverlay(p.Edits)
	go func() {
		defer close(queue)
		for b := range p.memory.blocks(noSkip) {
			result := make(chan filled, 1)
			select {
			case queue <- result:
			case <-ctx.Done():
				return
			}
			go func() {
				buf := pool.Get().(*[BlockSize]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
				data := buf[:b.size]
				result <- filled{data: data, err: p.fill(o, b, data)}
			}()
		}
	}()
	return queue
}
