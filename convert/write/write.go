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
	"hash"
	"io"
	"iter"

	"windmp/convert/dump"
	"windmp/convert/stage"
	"windmp/physmem"
)

const (
	// blockSize is one read and one write of the copy, in bytes: a power of two, at
	// multiples of which blocks end in the file. Larger ones cost about twice the
	// processor time on ext4 once memory has been used before (docs/performance.md).
	blockSize = 256 << 10
	// leastHole is the least stretch of memory, in bytes, of which it is asked
	// whether it is a hole. Asking costs about as much as reading a few pages.
	leastHole = 1 << 20
	// pageSize divides every hole that is left out of the reading.
	pageSize = physmem.PageSize
)

const (
	// DefaultWorkers copies with two readers and writers: one reads while the other
	// writes, and a file has one writer at a time in Linux (docs/performance.md).
	DefaultWorkers = 2
	// MaxWorkers bounds the memory that the copy takes.
	MaxWorkers = 16
	// mappedWorkers is from how many workers and processors on a file in memory is
	// written through a mapping, and how many workers there are then by default: what
	// was measured to be faster. Fewer are slower so (docs/performance.md).
	mappedWorkers = 8
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
	// SparseAlways leaves a hole for every zero page. Free space is not checked
	// beforehand, since it is not known how much the dump takes.
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

// ParseSparse reads a mode's name; the error is a [*stage.UsageError].
func ParseSparse(s string) (Sparse, error) {
	return stage.ParseMode("sparse", s, SparseAuto, SparseAlways, SparseNever)
}

// Options choose how the output is written. The zero value means: two workers,
// holes for zeros, nothing replaced, all of it on the disk at the end.
type Options struct {
	// Workers is how many blocks are read at the same time; 0 means
	// [DefaultWorkers], and eight into a file in memory (tmpfs) where there are as
	// many processors. More than [MaxWorkers] are lowered to it.
	Workers int
	// Sparse chooses what becomes of zeros in a file that is not packed; empty
	// means auto.
	Sparse Sparse
	// Force allows an existing regular file to be replaced.
	Force bool
	// Sum, when set, is reset and then given every byte of the file in order, as it
	// lies under its name: of a packed file the packed bytes. Its values can be taken
	// when the write is over, unless that failed.
	Sum hash.Hash
	// Complete, when set, is called when all was read and a stream written, before a file
	// gets its name: an error is for not giving it that.
	Complete func() error
	// NoSync leaves out the fsync of the file and its folder.
	NoSync bool
	// Progress, when set, is called from one goroutine at a time: when a stage
	// begins, about ten times a second in the copy, and at its end.
	Progress func(stage.Progress)
}

// complete asks whether the output may be complete.
func (o *Options) complete() error {
	if o.Complete == nil {
		return nil
	}
	if err := o.Complete(); err != nil {
		return &stage.Error{Stage: stage.Write, Err: err}
	}
	return nil
}

// Validate returns a [*stage.UsageError] if the options make no sense for any output.
func (o *Options) Validate() error {
	if o.Sparse != "" {
		if _, err := ParseSparse(string(o.Sparse)); err != nil {
			return err
		}
	}
	if o.Workers < 0 {
		return &stage.UsageError{Reason: fmt.Sprintf("%d blocks can't be copied at the same time", o.Workers)}
	}
	return nil
}

// workers is the number in force.
func (o *Options) workers() int {
	if o.Workers <= 0 {
		return DefaultWorkers
	}
	return min(o.Workers, MaxWorkers)
}

// copying is how many workers copy into a file, and whether through a mapping: inMemory
// says whether it lies in memory, processors how many there are.
func (o *Options) copying(inMemory bool, processors int) (workers int, mapped bool) {
	workers = o.workers()
	if !inMemory || processors < mappedWorkers {
		return workers, false
	}
	if o.Workers <= 0 {
		workers = mappedWorkers
	}
	return workers, workers >= mappedWorkers
}

// Output is what is written.
type Output struct {
	Layout dump.Layout
	// Memory is that of the layout's spans.
	Memory Memory
	// Held are the parts of Memory, sorted and disjoint, whose holes need no space in
	// a file system. Of the rest there is no file to show: a guest can claim any
	// amount.
	Held []physmem.Range
}

// Reads is the memory that is read for the output, in the order in which it is.
func (o *Output) Reads() iter.Seq[physmem.Range] {
	return func(yield func(physmem.Range) bool) {
		for s := range o.Layout.Segments() {
			if s.Kind == dump.Memory && !yield(physmem.Range{Start: s.PA, Size: s.Size}) {
				return
			}
		}
	}
}

// space is what a file takes in a file system at most, in bytes: without the holes
// of the memory that is held, but for the ends of each. Zeros of the layout itself
// count.
func (o *Output) space(mode Sparse) int64 {
	need, grain := o.Layout.Size(), mode.grain()
	if grain == 0 {
		return need
	}
	for s := range o.Layout.Segments() {
		if s.Kind != dump.Memory || s.Size < leastHole {
			continue
		}
		for _, r := range physmem.Within(o.Held, physmem.Range{Start: s.PA, Size: s.Size}) {
			need -= holes(dump.Segment{Kind: dump.Memory, PA: r.Start, Size: r.Size}, o.Memory, grain)
		}
	}
	return need
}

// holes is how much less than its size a span of memory needs.
func holes(s dump.Segment, m Memory, grain int) (saved int64) {
	for s.Size > 0 {
		p := piece(s, m)
		if p.Kind == dump.Zeros {
			saved += int64(p.Size) - 2*int64(grain) //nolint:gosec // at most the file's size
		}
		s = s.Behind(p.Size)
	}
	return saved
}

// fill makes the bytes of a block in buf, which has its size.
func fill(m Memory, parts []dump.Segment, buf []byte) error {
	for _, s := range parts {
		if _, err := s.Read(buf[:s.Size], m); err != nil {
			return err
		}
		buf = buf[s.Size:]
	}
	return nil
}
