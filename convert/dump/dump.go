// Package dump has the kinds of output, one [Layout] each: [NewFull] and
// [NewBitmap] are Windows crash dumps, [NewELF] is the core of a machine. A layout
// is what a file holds from its first byte to its last, as data: bytes, spans of
// guest-physical memory, zeros. Whoever writes one needs to know no more than
// that; what the memory holds, and which pages are wanted, is decided elsewhere.
package dump

import (
	"fmt"
	"io"
	"iter"
	"math"

	"windmp/physmem"
)

// Layout is what a file holds. It never changes.
type Layout interface {
	// Size is the size of the file in bytes.
	Size() int64
	// Segments yields what the file holds, ascending and without gaps: the first
	// begins at file offset 0, and each where the one before it ends.
	Segments() iter.Seq[Segment]
}

// Kind says where the bytes of a segment are from.
type Kind int

const (
	// Zeros are nothing but that.
	Zeros Kind = iota
	// Bytes are in the segment itself.
	Bytes
	// Memory is that of the guest.
	Memory
)

// Segment is a stretch of a file.
type Segment struct {
	Kind Kind
	// Size is in bytes, and never 0.
	Size uint64
	// PA is the guest-physical address of the first byte of Memory.
	PA uint64
	// data are the Size bytes of Bytes.
	data []byte
}

// Given is a segment of the bytes b, which nobody changes any more.
func Given(b []byte) Segment { return Segment{Kind: Bytes, Size: uint64(len(b)), data: b} }

// Behind is the segment without its first n bytes; n is at most Size.
func (s Segment) Behind(n uint64) Segment {
	s.Size -= n
	switch s.Kind {
	case Memory:
		s.PA += n
	case Bytes:
		s.data = s.data[n:]
	case Zeros:
	}
	return s
}

// First is the first n bytes of the segment; n is at most Size.
func (s Segment) First(n uint64) Segment {
	s.Size = n
	if s.Kind == Bytes {
		s.data = s.data[:n]
	}
	return s
}

// Read makes the first bytes of the segment in p, which is no longer than it. Offsets
// of memory are guest-physical addresses. Less than len(p) bytes come with an error of
// memory's, wrapped.
func (s Segment) Read(p []byte, memory io.ReaderAt) (int, error) {
	switch s.Kind {
	case Zeros:
		clear(p)
	case Bytes:
		copy(p, s.data)
	case Memory:
		if n, err := memory.ReadAt(p, int64(s.PA)); err != nil { //nolint:gosec // below 2^63, as layouts are
			return n, fmt.Errorf("reading guest memory at PA %#x: %w", s.PA, err)
		}
	}
	return len(p), nil
}

// A Limit is something that a kind of output has only so many of.
type Limit string

// The limits.
const (
	// LimitRuns: a full dump lists its runs of pages in the header.
	LimitRuns Limit = "runs of pages"
	// LimitBitmap: a bitmap has a bit for every page frame up to the last.
	LimitBitmap Limit = "bits of the bitmap"
	// LimitSegments: an ELF core has a program header for each run of pages.
	LimitSegments Limit = "runs of pages in an ELF core"
	// LimitProcessors: an ELF core has notes for each processor.
	LimitProcessors Limit = "processors in an ELF core"
	// LimitAddress: physical addresses have 63 bits, as offsets in files do.
	LimitAddress Limit = "page frames"
	// LimitSize is that of a file in bytes.
	LimitSize Limit = "bytes of the file"
)

// LimitError says that something does not fit into a kind of output. Plans go on
// to another kind.
type LimitError struct {
	Limit Limit
	// Got is what there is, Most what there may be.
	Got, Most uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%d %s: at most %d", e.Got, e.Limit, e.Most)
}

// Pages are the pages that a dump holds, ascending. They are not held in memory.
type Pages struct {
	runs       iter.Seq[physmem.Run]
	count, end uint64 // pages; the page frame behind the last
	memory     uint64 // the page frame behind the guest's last, 0 if that is not said
	lists      uint64 // runs
}

// maxFrame is the number of page frames whose addresses have 63 bits.
const maxFrame = math.MaxInt64/physmem.PageSize + 1

// NewPages goes through the runs once. They are valid, ascending and disjoint, and
// the same each time; two may touch. An error names what is not so, or is a
// [*LimitError].
func NewPages(runs iter.Seq[physmem.Run]) (Pages, error) {
	p := Pages{runs: runs}
	for r := range runs {
		if !r.Valid() || r.BasePage < p.end {
			return Pages{}, fmt.Errorf("run %d of %#x pages from page frame %#x on is empty, or not behind page frame %#x", p.lists, r.PageCount, r.BasePage, p.end)
		}
		p.count += r.PageCount
		p.end = r.End()
		p.lists++
	}
	if p.end > maxFrame {
		return Pages{}, &LimitError{Limit: LimitAddress, Got: p.end, Most: maxFrame}
	}
	return p, nil
}

// Within are the pages of a guest whose memory ends before the page frame end. Microsoft's
// debugger engine (10.0.10240) takes a page that a bitmap leaves out for one that is not in
// the dump, and complains of each look at one that the bitmap does not reach.
func (p Pages) Within(end uint64) Pages {
	p.memory = end
	return p
}

// Count is the number of pages.
func (p Pages) Count() uint64 { return p.count }

// End is the number of the page frame behind the last page; 0 if there is none.
func (p Pages) End() uint64 { return p.end }

// size is that of a file in which the pages follow front bytes.
func (p Pages) size(front uint64) (int64, error) {
	total := front + p.count*physmem.PageSize // at most 2^63, and what is in memory
	if total > math.MaxInt64 {
		return 0, &LimitError{Limit: LimitSize, Got: total, Most: math.MaxInt64}
	}
	return int64(total), nil
}

// segments yields the pages' memory, and reports whether yield wants more.
func (p Pages) segments(yield func(Segment) bool) bool {
	for r := range p.runs {
		m := r.Range()
		if !yield(Segment{Kind: Memory, Size: m.Size, PA: m.Start}) {
			return false
		}
	}
	return true
}
