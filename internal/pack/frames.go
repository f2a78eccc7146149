package pack

import (
	"context"
	"errors"
	"io"
	"sync"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
)

// frameSize is how much is packed in one frame of zstd, in bytes: whoever reads at an
// offset unpacks one. Smaller frames pack worse (docs/performance.md).
const frameSize = window

// newFrames makes zstd of frames that are packed beside each other, with a table of
// them at the end by which they are found (the seekable format of zstd's contrib
// folder). To whoever does not know it that is a stream like any other: the table is in
// a frame that is to be skipped.
func newFrames(w io.Writer) (io.WriteCloser, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(frameSize), zstd.WithEncoderConcurrency(packers()))
	if err != nil {
		return nil, err
	}
	f := &frames{
		enc: enc, out: &frameOutput{w: w, spare: make(chan []byte, packers()), failed: make(chan struct{})},
		full: make(chan []byte), ended: make(chan struct{}),
	}
	packer := frameEncoder{enc, f.out.spare}
	if f.w, err = seekable.NewWriter(nil, packer, seekable.WithWriterEnvironment(f.out)); err != nil {
		return nil, errors.Join(err, enc.Close())
	}
	go func() {
		defer close(f.ended)
		f.err = f.w.WriteMany(context.Background(), f.next, seekable.WithConcurrency(packers()))
	}()
	return f, nil
}

// frames is what is written to, and cut into frames. Some for each packer are in memory
// at a time, whatever the size of all.
type frames struct {
	w    *seekable.Writer
	enc  *zstd.Encoder
	out  *frameOutput
	full chan []byte // frames to be packed
	part []byte      // the one that is being filled
	// ended is closed when nothing is packed any more, err is why.
	ended chan struct{}
	err   error
}

// next is the next frame for the packers: nil at the end, or when the output takes no
// more.
func (f *frames) next() ([]byte, error) {
	select {
	case frame := <-f.full:
		return frame, nil
	case <-f.out.failed:
		return nil, f.out.err
	}
}

// Write implements io.Writer.
func (f *frames) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if f.part == nil {
			f.part = make([]byte, 0, frameSize) // the packers keep it
		}
		k := min(len(p)-n, frameSize-len(f.part))
		f.part = append(f.part, p[n:n+k]...)
		n += k
		if len(f.part) == frameSize {
			if err := f.hand(); err != nil {
				return n, err
			}
		}
	}
	return len(p), nil
}

// hand gives the packers what was filled.
func (f *frames) hand() error {
	select {
	case f.full <- f.part:
		f.part = nil
		return nil
	case <-f.ended:
		return f.failure()
	}
}

// failure is why nothing is packed any more.
func (f *frames) failure() error {
	if f.out.err != nil {
		return f.out.err // as the writer said it
	}
	return f.err
}

// Close implements io.Closer: it packs what is left, and writes the table.
func (f *frames) Close() error {
	if len(f.part) > 0 {
		_ = f.hand() // said below
	}
	f.part = nil
	close(f.full)
	<-f.ended
	err := f.failure()
	if err == nil {
		err = f.w.Close()
	}
	return errors.Join(err, f.enc.Close())
}

// A frameOutput takes packed frames.
type frameOutput struct {
	w io.Writer
	// spare are buffers that were written, for others to be packed into.
	spare chan []byte
	// err is the first error of w, and failed is closed behind it.
	err    error
	failed chan struct{}
	once   sync.Once
}

// WriteFrame implements seekable.WriterEnvironment.
func (o *frameOutput) WriteFrame(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.once.Do(func() {
			o.err = err
			close(o.failed)
		})
		return n, err
	}
	select {
	case o.spare <- p:
	default:
	}
	return n, nil
}

// WriteSeekTable implements seekable.WriterEnvironment.
func (o *frameOutput) WriteSeekTable(p []byte) (int, error) { return o.w.Write(p) }

// A frameEncoder packs into spare buffers.
type frameEncoder struct {
	*zstd.Encoder
	spare chan []byte
}

// EncodeAll implements seekable.ZSTDEncoder.
func (e frameEncoder) EncodeAll(src, _ []byte) []byte {
	select {
	case b := <-e.spare:
		return e.Encoder.EncodeAll(src, b[:0])
	default:
		return e.Encoder.EncodeAll(src, nil)
	}
}
