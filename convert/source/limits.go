package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/binio"
	"windmp/physmem"
)

// Limits bound what a look at one input may cost. The zero value bounds nothing.
type Limits struct {
	// MaxRead is the most bytes that are read of the input as it lies, and of the files
	// beside it that belong to it; 0 for no limit. Of a packed file the packed bytes
	// count, and what is then read of the temporary file does not.
	MaxRead int64
	// Timeout is how long the look may take, 0 for no limit. A read that hangs longer is
	// left behind, and goes on until the system ends it.
	Timeout time.Duration
}

// A LimitError says which limit ended a look.
type LimitError struct {
	Limits
	// Needs is set where the look ended before it began to read all of the input: how
	// many bytes that would have been.
	Needs int64
	// Read is how many bytes had been read.
	Read int64
}

func (e *LimitError) Error() string {
	size := func(n int64) string { return binio.Bytes(binio.Uint64(n)) }
	switch {
	case e.Needs > 0:
		return fmt.Sprintf("the file would have to be read to its end, %s, and the limit is %s", size(e.Needs), size(e.MaxRead))
	case e.MaxRead > 0:
		return fmt.Sprintf("the look ended at its limit: no more than %s of the file may be read", size(e.MaxRead))
	default:
		return fmt.Sprintf("the look ended at its limit of %v, when %s of the file had been read", e.Timeout, size(e.Read))
	}
}

// Advice says what to do about it.
func (e *LimitError) Advice() string { return finding.LookEnded.Advice() }

// Is matches [physmem.ErrSource]: nothing follows from it about the guest.
func (e *LimitError) Is(target error) bool { return target == physmem.ErrSource }

// Validate returns a [*stage.UsageError] for limits that are none.
func (l *Limits) Validate() error {
	switch {
	case l.MaxRead < 0:
		return &stage.UsageError{Reason: fmt.Sprintf("a limit of %d bytes is none", l.MaxRead)}
	case l.Timeout < 0:
		return &stage.UsageError{Reason: fmt.Sprintf("a limit of %v is none", l.Timeout)}
	}
	return nil
}

// A watch counts what is read of an input, and holds that to the limits.
type watch struct {
	limits Limits
	// ctx ends with the time, if that has a limit; nil where no look was begun.
	ctx  context.Context //nolint:containedctx // lives as long as one look
	read atomic.Int64
	over atomic.Pointer[LimitError] // the first limit that ended a read
	// stop ends the look, with the reason; nil where none was begun.
	stop context.CancelCauseFunc
}

// Begin begins the look that the limits are for: the context that it returns ends when
// the time is over, and, as its cause, with the first read that a limit or the source
// refuses for good ([physmem.ErrSource]), since no other could succeed. Inputs that are
// opened with these options count for the limits together. The function frees the timer.
func (o *Options) Begin(ctx context.Context) (context.Context, context.CancelFunc) {
	free := context.CancelFunc(func() {})
	if o.Limits.Timeout > 0 {
		ctx, free = context.WithTimeoutCause(ctx, o.Limits.Timeout, errTime)
	}
	look, stop := context.WithCancelCause(ctx)
	o.watch = &watch{limits: o.Limits, ctx: ctx, stop: stop}
	return look, func() { stop(nil); free() }
}

// errTime is the cause of a context that ended with the time.
var errTime = errors.New("the time is over")

// Over says which limit ended the look since [Options.Begin], nil if none did. What was
// found may be incomplete then, and speaks neither for the input nor against it.
func (o *Options) Over() *LimitError {
	if o.watch == nil {
		return nil
	}
	return o.watch.ended()
}

// ended says which limit ended the look.
func (w *watch) ended() *LimitError {
	if over := w.over.Load(); over != nil {
		return over
	}
	if w.ctx != nil && w.ctx.Err() != nil && errors.Is(context.Cause(w.ctx), errTime) {
		return &LimitError{Limits: Limits{Timeout: w.limits.Timeout}, Read: w.read.Load()}
	}
	return nil
}

// end notes the first limit that ended a read, and returns it as an error of the source.
func (w *watch) end(e *LimitError) error {
	w.over.CompareAndSwap(nil, e)
	return e
}

// take counts n bytes that are going to be read, unless they are more than the limit
// leaves.
func (w *watch) take(n int) error {
	if over := w.over.Load(); over != nil {
		return over
	}
	if read := w.read.Add(int64(n)); w.limits.MaxRead > 0 && read > w.limits.MaxRead {
		return w.end(&LimitError{Limits: Limits{MaxRead: w.limits.MaxRead}, Read: w.read.Add(-int64(n))})
	}
	return nil
}

// mayTake refuses to begin with n bytes that are more than the limit leaves.
func (w *watch) mayTake(n int64) error {
	read := w.read.Load()
	if most := w.limits.MaxRead; most > 0 && n > most-read {
		return w.end(&LimitError{Limits: Limits{MaxRead: most}, Needs: read + n, Read: read})
	}
	return nil
}

// readAt reads of r what the limits allow.
func (w *watch) readAt(r io.ReaderAt, p []byte, off int64) (int, error) {
	if err := w.take(len(p)); err != nil {
		w.refuse(err)
		return 0, err
	}
	n, err := w.timed(r, p, off)
	w.read.Add(int64(n - len(p))) // what there was not
	w.refuse(err)
	return n, err
}

// refuse ends the look if err is that of a read after which no other could succeed.
func (w *watch) refuse(err error) {
	if w.stop != nil && errors.Is(err, physmem.ErrSource) {
		w.stop(err)
	}
}

// timed reads of r while there is time.
func (w *watch) timed(r io.ReaderAt, p []byte, off int64) (int, error) {
	if w.limits.Timeout <= 0 {
		return r.ReadAt(p, off)
	}
	type result struct {
		n   int
		err error
	}
	// Where the read is left behind, what it reads must not come into the caller's.
	b, done := make([]byte, len(p)), make(chan result, 1)
	go func() {
		n, err := r.ReadAt(b, off)
		done <- result{n, err}
	}()
	select {
	case x := <-done:
		return copy(p, b[:x.n]), x.err
	case <-w.ctx.Done():
		if over := w.ended(); over != nil {
			return 0, w.end(over)
		}
		return 0, context.Cause(w.ctx)
	}
}

// A watched is an input as it lies, whose reads are counted.
type watched struct {
	physmem.Source
	watch *watch
	opt   *Options
	dated
	// meter counts a stream while it is read to its end, nil otherwise.
	meter atomic.Pointer[stage.Meter]
}

// ReadAt implements io.ReaderAt.
func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.watch.readAt(w.Source, p, off)
	if m := w.meter.Load(); m != nil {
		m.Add(n)
	}
	return n, err
}

// OpenSibling implements [physmem.Source].
func (w *watched) OpenSibling(name string) (physmem.Source, error) {
	s, err := w.Source.OpenSibling(name)
	if err != nil {
		return nil, err
	}
	beside := newWatched(s, w.watch, w.opt)
	w.keep(beside)
	return beside, nil
}

// NextData implements [physmem.DataFinder].
func (w *watched) NextData(off int64) int64 { return physmem.NextData(w.Source, off) }

// InUse implements [physmem.UseTeller].
func (w *watched) InUse() bool { return physmem.InUse(w.Source) }

// ModTime implements [physmem.Dated].
func (w *watched) ModTime() time.Time { return physmem.ModTime(w.Source) }

// Announce implements [physmem.Announcer].
func (w *watched) Announce(list iter.Seq[physmem.Stretch]) {
	if a, ok := w.Source.(physmem.Announcer); ok {
		a.Announce(list)
	}
}

// Retry implements [physmem.Retrier].
func (w *watched) Retry() { physmem.Retry(w.Source) }

// ReadsAll implements [physmem.Foreteller].
func (w *watched) ReadsAll(n int64) error {
	if err := w.watch.mayTake(n); err != nil {
		return err
	}
	stage.Foretell(w.opt.Whole, stage.Open, n)
	w.meter.Store(w.opt.meter(stage.Open, n))
	return nil
}

// ReadsTable implements [physmem.Foreteller].
func (w *watched) ReadsTable(n int64) {
	if w.opt.Whole != nil {
		w.opt.Whole(stage.Whole{Stage: stage.Open, Table: true, Bytes: n})
	}
}

// meter is what counts n bytes of a stage: that of the check, or one of its own.
func (o *Options) meter(s stage.Stage, n int64) *stage.Meter {
	if o.Count == nil {
		return stage.NewMeter(s, n, 0, o.Progress)
	}
	o.Count.Grow(n)
	return o.Count
}

// opened ends the counting of a stream.
func (w *watched) opened() {
	if m := w.meter.Swap(nil); m != nil && m != w.opt.Count {
		m.Finish()
	}
}
