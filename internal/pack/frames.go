package pack

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
)

const (
	// frameSize is how much is packed in one frame of zstd, in bytes: whoever reads at
	// an offset unpacks one. Smaller frames pack worse (docs/performance.md).
	frameSize = window
	// waitingFrames are filled or written while the packers have one each.
	waitingFrames = 4
)

// newFrames makes zstd of frames that are packed beside each other, with a table of
// them at the end by which they are found (the seekable format of zstd's contrib
// folder). To whoever does not know it that is a stream like any other: the table is in
// a frame that is to be skipped.
func newFrames(w io.Writer) (io.WriteCloser, error) {
	n := packers()
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(frameSize), zstd.WithEncoderConcurrency(n))
	if err != nil {
		return nil, err
	}
	f := &frames{
		w: w, enc: enc, packed: new(packedFrame), left: n + waitingFrames,
		free: make(chan *frame, n+waitingFrames), work: make(chan *frame), order: make(chan *frame, n+waitingFrames),
	}
	if f.table, err = seekable.NewEncoder(f.packed); err != nil {
		return nil, errors.Join(err, enc.Close())
	}
	for range n {
		f.running.Go(f.pack)
	}
	f.running.Go(f.finish)
	return f, nil
}

// frames is what is written to, and cut into frames. Each goes from the one who fills it
// to a packer, in the order of the file to the one who writes it, and is used again: so
// many are in memory, whatever the size of all.
type frames struct {
	w      io.Writer
	enc    *zstd.Encoder
	table  *seekable.Encoder
	packed *packedFrame // what the table is told of next

	part  *frame // the one that is being filled
	left  int    // frames that can still be made
	free  chan *frame
	work  chan *frame
	order chan *frame

	running sync.WaitGroup
	failed  atomic.Bool
	err     error // the first one, there once failed is set
}

// A frame is a piece of what is packed.
type frame struct {
	content, packed []byte
	ready           chan struct{} // has a value when it is packed
}

// Write implements io.Writer.
func (f *frames) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if f.failed.Load() {
			return n, f.err
		}
		if f.part == nil {
			f.part = f.get()
		}
		k := min(len(p)-n, frameSize-len(f.part.content))
		f.part.content = append(f.part.content, p[n:n+k]...)
		n += k
		if len(f.part.content) == frameSize {
			f.hand()
		}
	}
	return len(p), nil
}

// get is a frame to be filled.
func (f *frames) get() *frame {
	select {
	case x := <-f.free:
		return x
	default:
	}
	if f.left > 0 {
		f.left--
		return &frame{content: make([]byte, 0, frameSize), ready: make(chan struct{}, 1)}
	}
	return <-f.free
}

// hand gives the frame that was filled to the packers.
func (f *frames) hand() {
	f.order <- f.part
	f.work <- f.part
	f.part = nil
}

// pack packs frames.
func (f *frames) pack() {
	for x := range f.work {
		if !f.failed.Load() {
			x.packed = f.enc.EncodeAll(x.content, x.packed[:0])
		}
		x.ready <- struct{}{}
	}
}

// finish writes what was packed. After an error it only takes the frames back.
func (f *frames) finish() {
	for x := range f.order {
		<-x.ready
		if !f.failed.Load() {
			if err := f.write(x); err != nil {
				f.err = err
				f.failed.Store(true)
			}
		}
		x.content = x.content[:0]
		f.free <- x
	}
}

// write writes a frame, and notes it in the table.
func (f *frames) write(x *frame) error {
	f.packed.b = x.packed
	b, err := f.table.Encode(x.content)
	if err == nil {
		_, err = f.w.Write(b)
	}
	return err
}

// Close implements io.Closer: it packs what is left, and writes the table.
func (f *frames) Close() error {
	if f.part != nil {
		f.hand()
	}
	close(f.work)
	close(f.order)
	f.running.Wait()
	if !f.failed.Load() {
		b, err := f.table.EndStream()
		if err == nil {
			_, err = f.w.Write(b)
		}
		f.err = err
	}
	return errors.Join(f.err, f.enc.Close())
}

// packedFrame is the encoder of a table of frames that are packed already.
type packedFrame struct{ b []byte }

// EncodeAll implements seekable.ZSTDEncoder.
func (p *packedFrame) EncodeAll(_, _ []byte) []byte { return p.b }
