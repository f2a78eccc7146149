package physmem

import (
	"context"
	"io"
	"iter"
)

// A Memory is guest-physical memory as a container holds it. What else one can
// do is said by the optional interfaces that it implements: [Locator],
// [DataFinder], [Placer], [HoleTaker].
//
// All methods may be called by several goroutines at once, and none changes what
// another one returns: a Memory stays as it is.
type Memory interface {
	// ReadAt reads guest-physical memory: pa, which is not negative, is the guest
	// physical address of the first byte of p, which is not empty. Less than
	// len(p) bytes come with an error: a *NotInImageError at memory that the
	// container does not hold, a *ReadError if its file fails.
	ReadAt(p []byte, pa int64) (int, error)
	// Ranges returns what ReadAt can read: sorted, disjoint, adjacent ranges
	// merged wherever they are in the file.
	Ranges() []Range
}

// A Locator is a [Memory] that lies byte by byte in a file.
type Locator interface {
	// Extents yields where, ascending by address and disjoint, from guest physical
	// address pa on: the first one begins at pa if memory is there.
	Extents(pa uint64) iter.Seq[Extent]
}

// A DataFinder knows where it has holes, as a sparse file does: a [Source], whose
// offsets are those of the file, or a [Memory], whose offsets are guest physical
// addresses. What a hole reads as is zeros.
type DataFinder interface {
	io.ReaderAt
	// NextData returns the first offset from off on that may hold something other
	// than zeros: off itself if that is not known, the end if there is none any
	// more, which is that of the file, or of the memory around off. It reads no
	// data.
	NextData(off int64) int64
}

// NextData asks r for the first offset from off on that may hold something other
// than zeros: off itself if r is no [DataFinder].
func NextData(r io.ReaderAt, off int64) int64 {
	if f, ok := r.(DataFinder); ok {
		return max(off, f.NextData(off))
	}
	return off
}

// A Placer is a [Memory] whose container holds more than it describes. What it
// places is in a new Memory.
type Placer interface {
	// Recover places what is certain; see [Image.Recover]. The Memory is nil if
	// there is nothing.
	Recover(ram []Range) (Memory, []Range)
	// Candidates returns the places of what is not; see [Image.Candidates].
	Candidates(ram []Range) []Candidate
	// Adopt places candidates; see [Image.Adopt]. The Memory is nil if all of
	// them contradict what is known.
	Adopt(list []Candidate) (Memory, []Range)
	// Mappings goes through the page mappings that the container lists.
	Mappings() iter.Seq2[Mapping, error]
}

// A Sieve is a [Memory] of which only reading tells whether its pages are damaged.
type Sieve interface {
	// Sound returns the memory without the pages that can't be decoded, how many
	// those are, and the first error; the Memory is nil if there are none. The error
	// is one of reading the file, or that of ctx.
	Sound(ctx context.Context) (m Memory, damaged uint64, first, err error)
}

// A HoleTaker is a [Memory] of a container that does not say where the holes
// are.
type HoleTaker interface {
	// WithHoles returns the container with other holes: ranges of whole pages
	// without memory.
	WithHoles(holes []Range) (*Container, error)
}

// A Candidate is a supposed place of memory that [Image.Recover] could not prove.
// It must be confirmed by what the guest itself keeps there before it is adopted.
type Candidate struct {
	Extent // Recovered is set
	// Likely is set if this is the only place that the memory can have,
	// provided that a single hole divides the stretch of the file. That is so
	// unless the machine has memory that neither the container nor the given RAM
	// tell of.
	Likely bool
	// Why says what would have to be true.
	Why string
}

// A Mapping is a stretch of virtual memory that a processor's page tables
// mapped when a dump with paging on was made.
type Mapping struct {
	// VA is the virtual address as QEMU writes it: the low 48 bits are right,
	// but it extends bit 63 and not bit 47, so that user addresses come out
	// with 0xffff on top (observed with QEMU 7.2).
	VA uint64
	PA uint64
	// Size is in bytes. The physical memory behind may reach beyond what the
	// file holds.
	Size uint64
}
