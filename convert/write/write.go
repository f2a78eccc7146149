// Package write makes files and streams of layouts. It knows what a [dump.Layout]
// and a [Memory] say and nothing else: not what is in a dump, nor why.
//
// [File] writes a file that appears when it is complete, with holes for zeros;
// [Stream] writes to a pipe or through a packer, in the order of the file. Both cut
// the layout into blocks, which a few workers read ahead: memory use is some blocks
// a worker, whatever the size of the dump.
package write

import (
	"fmt"
	"io"

	"windmp/convert/dump"
)

const (
	// blockSize is one read and one write of the copy, in bytes: a power of two, at
	// multiples of which blocks end in the file. For large aligned writes ext4 takes
	// large folios of page cache, and once memory has been used before the kernel
	// has to clear them or to wait for them: 1 MiB then took up to eight times as
	// long as 128 to 512 KiB, and 256 KiB took least (docs/performance.md).
	blockSize = 256 << 10
	// leastHole is the least stretch of memory, in bytes, of which it is asked
	// whether it is a hole. Asking costs about as much as reading a few pages.
	leastHole = 1 << 20
	// pageSize divides every hole that is left out of the reading.
	pageSize = 4 << 10
)

const (
	// DefaultWorkers copies with two readers and writers: one reads while the other
	// writes, and a file has one writer at a time in Linux (docs/performance.md).
	DefaultWorkers = 2
	// MaxWorkers bounds the memory that the copy takes.
	MaxWorkers = 16
)

// Memory is the guest's memory as the output holds it. Offsets are guest-physical
// addresses.
type Memory interface {
	io.ReaderAt
	// NextData returns the first address from pa on that may hold something other
	// than zeros. What lies below it, from pa on, reads as zeros.
	NextData(pa uint64) uint64
}

// Sparse says what becomes of zeros in a file.
type Sparse string

const (
	// SparseAuto leaves holes for stretches of 64 KiB that are zero: what is
	// left is still read and written in large pieces. The empty value is this.
	SparseAuto Sparse = "auto"
	// SparseAlways leaves a hole for every zero page.
	SparseAlways Sparse = "always"
	// SparseNever writes every byte.
	SparseNever Sparse = "never"
)

// grain is the least hole in bytes, 0 for none. It divides blockSize, so that a
// hole never depends on where blocks end.
func (m Sparse) grain() int {
	switch m {
	case SparseAlways:
		return 4 << 10
	case SparseNever:
		return 0
	case SparseAuto:
	}
	return 64 << 10
}

// Options steer the writing. The zero value means: two workers, holes for zeros,
// nothing replaced, all of it on the disk at the end.
type Options struct {
	// Workers is how many blocks are read at the same time; 0 means
	// [DefaultWorkers], and more than [MaxWorkers] are lowered to it.
	Workers int
	// Progress, when set, is called with the number of bytes that were dealt with
	// since the last call, holes included. Workers call it at the same time.
	Progress func(n int64)

	// The rest is for files.

	// Sparse chooses what becomes of zeros in a file that is not packed.
	Sparse Sparse
	// Pack, when set, packs what is written to it into w. The file then has no
	// holes. Close ends the packing, also after an error.
	Pack func(w io.Writer) (io.WriteCloser, error)
	// Need is how many bytes must be free in the file system before anything is
	// written, 0 for unknown. [Space] tells it.
	Need int64
	// Replace allows an existing regular file to be replaced.
	Replace bool
	// NoSync leaves out the fsync of the file and its folder.
	NoSync bool
	// Syncing, when set, is called when all is written and the fsync begins.
	Syncing func()
}

// workers is the number in force.
func (o *Options) workers() int {
	if o.Workers <= 0 {
		return DefaultWorkers
	}
	return min(o.Workers, MaxWorkers)
}

// done counts n bytes.
func (o *Options) done(n int64) {
	if o.Progress != nil {
		o.Progress(n)
	}
}

// Space is what a file takes in a file system at most, in bytes: without the holes
// of the memory, but for the ends of each. Zeros of the layout itself count.
func Space(l dump.Layout, m Memory, mode Sparse) int64 {
	need, grain := l.Size(), mode.grain()
	if grain == 0 {
		return need
	}
	for s := range l.Segments() {
		for s.Kind == dump.Memory && s.Size > 0 {
			p := piece(s, m)
			if p.Kind == dump.Zeros {
				need -= int64(p.Size) - 2*int64(grain) //nolint:gosec // at most the file's size
			}
			s = s.Behind(p.Size)
		}
	}
	return need
}

// fill makes the bytes of a block in buf, which has its size.
func fill(m Memory, parts []dump.Segment, buf []byte) error {
	for _, s := range parts {
		part := buf[:s.Size]
		buf = buf[s.Size:]
		switch s.Kind {
		case dump.Zeros:
			clear(part)
		case dump.Bytes:
			copy(part, s.Data)
		case dump.Memory:
			if _, err := m.ReadAt(part, int64(s.PA)); err != nil { //nolint:gosec // below 2^63, as layouts are
				return fmt.Errorf("reading guest memory at PA %#x: %w", s.PA, err)
			}
		}
	}
	return nil
}
