package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/open"
)

// What is read in place; what is larger is unpacked to a file.
const (
	// maxFrame is the largest frame, in bytes of what is in it: what a read at any
	// offset unpacks. zstd's own examples make frames of 1 MiB and less, others of
	// up to 8 MiB.
	maxFrame = 8 << 20
	// maxPackedFrame is the same of the frame as it lies: what does not pack takes a
	// few bytes more.
	maxPackedFrame = maxFrame + 64<<10
	// maxFrames bounds the table, of which 32 bytes a frame are kept: a TiB in
	// frames of 1 MiB.
	maxFrames = 1 << 20
	// maxTable is a table of that many frames: a frame that is skipped, with 12 bytes
	// each and 9 behind them.
	maxTable = 8 + 12*maxFrames + 9
	// keptBytes bounds the unpacked frames that are kept; leastKept, and two for each
	// processor, is how many there are if they are small.
	keptBytes = 32 << 20
	leastKept = 16
)

// Frames is what is packed in zstd of frames that a table at the end of the file names:
// it can be read at any offset, by several goroutines at once, and nothing is written
// anywhere. Some frames are kept in memory, and of those that are read one behind the
// other, the next are unpacked ahead. It is a physmem.DataFinder: frames of zeros are
// holes.
type Frames struct {
	r     io.ReaderAt
	table seekable.SeekTable
	dec   *zstd.Decoder
	cache *frameCache
	zeros zeroFrames
	spare chan []byte // for frames as they lie

	ahead   int64 // frames that are unpacked ahead at most
	order   order
	running sync.WaitGroup
	closed  atomic.Bool
}

var _ physmem.DataFinder = (*Frames)(nil)

// A FrameError says that a frame is not what the table says of it, or is damaged.
type FrameError struct {
	Frame  int64 // its number, from 0
	Offset int64 // in the packed file
	Err    error
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("the packed data is damaged: frame %d of it, at offset %#x of the packed file: %v", e.Frame, e.Offset, e.Err)
}

// Is matches [physmem.ErrSource].
func (e *FrameError) Is(target error) bool { return target == physmem.ErrSource }

// Unwrap gives the reason.
func (e *FrameError) Unwrap() error { return e.Err }

var (
	errFrameSize = errors.New("its size is not that in the table of frames")
	errFrameSum  = errors.New("its checksum is not that in the table of frames")
)

// OpenFrames opens what is packed in a file, as it lies in it. It is nil for whatever is
// to be unpacked instead: zstd without a table of frames, or with one that can't be
// right or is too large, frames that are too large, and what [open.Beginning] refuses,
// or begins like an archive. The error is that of reading the file.
func OpenFrames(ctx context.Context, r io.ReaderAt, size int64, opt Options) (*Frames, error) {
	table, err := readTable(r, size)
	if table == nil {
		return nil, err
	}
	procs := packers()
	most := int(max(keptBytes/largest(table), 2))
	most = min(most, max(leastKept, 2*procs))
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(procs), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdMemory), zstd.WithDecoderMaxMemory(maxFrame+1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	f := &Frames{r: r, table: *table, dec: dec, ahead: int64(min(procs, most/2)), spare: make(chan []byte, procs)}
	f.cache = newFrameCache(most, f.unpack)
	if !f.isImage(ctx, &opt) {
		return nil, f.Close()
	}
	return f, nil
}

// isImage reports whether what is packed begins like a memory image, by itself.
func (f *Frames) isImage(ctx context.Context, opt *Options) bool {
	head := make([]byte, min(f.Size(), open.BeginningSize))
	if err := binio.ReadFull(f, head, 0); err != nil || isTar(head) {
		return false // unpacking says what is wrong
	}
	return opt.Input.Format == physmem.FormatRaw || open.Beginning(ctx, head, opt.Beside, opt.Input) == nil
}

// Size is that of what is packed, in bytes.
func (f *Frames) Size() int64 { return int64(f.table.Size()) } //nolint:gosec // below 2^43, by the caps

// Close ends what is unpacked ahead. Nothing can be read afterwards.
func (f *Frames) Close() error {
	f.closed.Store(true)
	f.running.Wait()
	f.dec.Close()
	return nil
}

// ReadAt implements io.ReaderAt. The error is a [*FrameError], that of the file, or
// io.EOF at the end.
func (f *Frames) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading at offset %d", off)
	}
	if f.closed.Load() {
		return 0, fs.ErrClosed
	}
	n := 0
	for n < len(p) {
		at := uint64(off) + uint64(n)
		e, ok := f.table.EntryByDecompressedOffset(at)
		if !ok {
			return n, io.EOF
		}
		f.readAhead(e.ID)
		if err := f.cache.use(e.ID, func(data []byte) { n += copy(p[n:], data[at-e.DecompressedOffset:]) }); err != nil {
			return n, err
		}
	}
	return n, nil
}

// readAhead has frames unpacked that are likely to be read soon.
func (f *Frames) readAhead(id int64) {
	from, to := f.order.reach(id, f.ahead)
	for next := from; next < min(to, f.table.NumFrames()); next++ {
		if !f.closed.Load() && !f.cache.has(next) {
			f.running.Go(func() { f.cache.fetch(next) })
		}
	}
}

// unpack unpacks a frame into a buffer, or a new one.
func (f *Frames) unpack(id int64, into []byte) ([]byte, error) {
	e, _ := f.table.EntryByID(id) // it is there
	packed := f.buffer(int(e.CompressedSize))
	defer f.giveBack(packed)
	if err := f.read(packed, e); err != nil {
		return nil, err
	}
	// A frame that is larger than it should be is seen by the byte behind it.
	size := int(e.DecompressedSize)
	if cap(into) <= size {
		into = make([]byte, 0, size+1)
	}
	data, err := f.dec.DecodeAll(packed, into[:0:size+1])
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && len(data) != size:
		err = errFrameSize
	case err == nil && f.table.HasChecksums() && xxhash.Sum64(data)&math.MaxUint32 != uint64(e.Checksum):
		err = errFrameSum
	}
	if err != nil {
		return nil, &FrameError{id, int64(e.CompressedOffset), err} //nolint:gosec // in the file
	}
	return data, nil
}

// read reads a frame as it lies in the file into a buffer of its size.
func (f *Frames) read(b []byte, e seekable.FrameOffsetEntry) error {
	return binio.ReadFull(f.r, b, int64(e.CompressedOffset)) //nolint:gosec // in the file
}

// buffer is a buffer of a size, used before or new.
func (f *Frames) buffer(size int) []byte {
	select {
	case b := <-f.spare:
		if cap(b) >= size {
			return b[:size]
		}
	default:
	}
	return make([]byte, size, size+size/4)
}

// giveBack keeps a buffer for others.
func (f *Frames) giveBack(b []byte) {
	select {
	case f.spare <- b:
	default:
	}
}

// order notices who reads one frame behind the other.
type order struct {
	mu    sync.Mutex
	next  int64 // the frame behind the last one
	run   int   // how many were read one behind the other
	asked int64 // the first frame that was not named yet
}

const (
	// leastRun is after how many frames in a row others are unpacked ahead.
	leastRun = 2
	// atOnce is how far from each other those are who read at the same time.
	atOnce = 4
)

// reach says which frames are likely to be read behind id: at most ahead of them,
// those that it has not said before.
func (o *order) reach(id, ahead int64) (from, to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case id == o.next:
		o.next, o.run = id+1, o.run+1
	case id < o.next && id >= o.next-atOnce:
		return 0, 0
	default:
		o.next, o.run, o.asked = id+1, 1, 0
	}
	if o.run < leastRun {
		return 0, 0
	}
	from, to = max(o.asked, id+1), id+1+ahead
	o.asked = max(o.asked, to)
	return from, to
}
