// Package locate finds a kernel's debugger data block where nothing leads to it: in an
// image ([InImage], [Near]) or in all of memory ([Blocks]), and the tables of physical
// memory that a kernel keeps ([Tables]).
package locate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/vtop"
)

const (
	// maxCandidates bounds what [Blocks] returns. A guest has a handful of
	// blocks: the kernel's, a driver's copy, what a dump in its cache holds.
	maxCandidates = 4096

	// windowSize is how much one read takes, bytes.
	windowSize = 2 << 20
	// maxSearchers bounds the goroutines of a scan.
	maxSearchers = 8
	// span is [Span].
	span = int(Span)
)

// Span is how many bytes must lie in one piece of memory for a block to be seen: all up
// to MmPageSize.
const Span = uint64(wire.OffMmPageSize) + wire.WordSize

// Candidate is a place that looks like a debugger data block. It is believed only
// when [Candidate.Read] verifies it through page tables.
type Candidate struct {
	// At is its address in the memory that was searched.
	At uint64
	// Layout is that of the machine whose kernel's it would be.
	Layout *kdbg.Layout
	// Encoded says that it is encoded; the fields below are decoded.
	Encoded bool
	// Size is the block's, in bytes.
	Size uint32
	// List is where its list head lies, which points back to the block.
	List vtop.VA
	// KernBase is the kernel it belongs to.
	KernBase vtop.VA
	// PageSize is MmPageSize, bytes.
	PageSize uint64
}

// Blocks searches memory for debugger data blocks of the given layouts, plain and
// encoded, in the given ranges. The memory may be physical, or a window of virtual
// memory.
//
// A plain block is known by its tag. An encoded one is found without keys by
// words that are related whatever the keys: the links of its list entry are equal
// (one block is registered), and the tag with the size differs from MmPageSize by
// one of 192 values rotated by one of 64 counts; see [kdbg.Memory.Decode]. What the
// words then decode to must make sense. Plain ones of a kernel whose pages have a size that
// the machine has too and Windows is not known to use ([kdbg.Layout].OtherPages) are
// candidates as well, which nothing verifies.
//
// Candidates come in ascending order, the first maxCandidates of them. A place that
// fits several layouts is a candidate for each, in their order. What can't
// be read is passed over; the error is about the lowest such address, or ctx's, and the
// candidates are returned with it. A block whose first [Span] bytes lie in pages
// that are not adjacent in the memory searched is not seen.
func Blocks(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, layouts ...*kdbg.Layout) ([]Candidate, error) {
	return blocks(ctx, mem, ranges, search{layouts: layouts, anyPages: true})
}

func blocks(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, s search) ([]Candidate, error) {
	l := &searcher{mem: mem, search: s, windows: make(chan physmem.Range)}
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxSearchers) {
		wait.Go(l.run)
	}
	err := feed(ctx, ranges, l.windows)
	close(l.windows)
	wait.Wait()
	l.keepLowest()
	if err == nil {
		err = l.err
	}
	return l.found, err
}

// feed cuts ranges into windows that overlap by what a block needs.
func feed(ctx context.Context, ranges []physmem.Range, windows chan<- physmem.Range) error {
	for _, r := range ranges {
		start := (r.Start + wire.WordSize - 1) &^ (wire.WordSize - 1)
		for end := r.Start + r.Size; start < end && end-start >= Span; start += windowSize {
			select {
			case windows <- physmem.Range{Start: start, Size: min(end-start, windowSize+Span-wire.WordSize)}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// buffers are for windows, most of an image's size.
var buffers binio.Buffers

// searcher is a scan that runs.
type searcher struct {
	mem     io.ReaderAt
	search  search
	windows chan physmem.Range

	mu     sync.Mutex
	found  []Candidate
	err    error
	failed uint64 // the window that err is about
}

func (l *searcher) run() {
	for w := range l.windows {
		buf := buffers.Get(int(w.Size)) //nolint:gosec // at most windowSize and Span
		found, err := l.window(buf, w.Start)
		buffers.Put(buf)
		if len(found) == 0 && err == nil {
			continue
		}
		l.mu.Lock()
		l.found = append(l.found, found...)
		if len(l.found) > 2*maxCandidates {
			l.keepLowest()
		}
		if err != nil && (l.err == nil || w.Start < l.failed) {
			l.err, l.failed = err, w.Start
		}
		l.mu.Unlock()
	}
}

// keepLowest keeps the candidates with the lowest addresses: windows do not end in
// order, and the same ones have to be kept each time.
func (l *searcher) keepLowest() {
	slices.SortStableFunc(l.found, func(a, b Candidate) int { return cmp.Compare(a.At, b.At) })
	if len(l.found) > maxCandidates {
		l.found = slices.Delete(l.found, maxCandidates, len(l.found))
	}
}

// window searches what lies at at, as much as buf takes. Where that can't be read at
// once, the pages that can be are searched: one bad page hides no other.
func (l *searcher) window(buf []byte, at uint64) ([]Candidate, error) {
	n, err := l.mem.ReadAt(buf, int64(at)) //nolint:gosec // the caller's addresses are those of a ReaderAt
	if n == len(buf) {
		return l.search.in(buf, at), nil
	}
	var found []Candidate
	readable := n
	start := 0 // of the stretch that ends at n
	for n < len(buf) {
		next := min(len(buf), n+physmem.PageSize-int((at+uint64(n))%physmem.PageSize)) //nolint:gosec // an index
		got, _ := l.mem.ReadAt(buf[n:next], int64(at)+int64(n))                        //nolint:gosec // as above
		readable += got
		n += got
		if n < next { // the stretch ends in this page
			found = append(found, l.search.in(buf[start:n], at+uint64(start))...)
			start, n = next, next
		}
	}
	found = append(found, l.search.in(buf[start:], at+uint64(start))...)
	return found, fmt.Errorf("searching for the debugger data block from %#x: %#x of %#x bytes are readable: %w", at, readable, len(buf), err)
}

// search is what is searched for.
type search struct {
	layouts []*kdbg.Layout
	// anyLinks does without the links of an encoded block being equal, which costs
	// more time: it is for memory of an image's size.
	anyLinks bool
	// anyPages takes plain blocks of kernels with other pages than those that are read.
	anyPages bool
}

// takes tells whether a plain block may be of a kernel with pages of this size.
func (s search) takes(l *kdbg.Layout, pageSize uint64) bool {
	return pageSize == physmem.PageSize || s.anyPages && slices.Contains(l.OtherPages, pageSize)
}

// in looks at every word of buf, which lies at at, that has room behind it.
func (s search) in(buf []byte, at uint64) []Candidate {
	var found []Candidate
	if len(buf) < span {
		return nil
	}
	le := binary.LittleEndian
	last := len(buf) - span
	prev := le.Uint64(buf)
	for off := 0; off <= last; off += wire.WordSize {
		next := le.Uint64(buf[off+wire.WordSize:])
		if next == prev && prev != 0 || s.anyLinks {
			found = s.encoded(found, buf[off:], at+uint64(off))
		}
		if le.Uint32(buf[off+int(wire.OffOwnerTag):]) == wire.OwnerTag {
			found = s.plain(found, buf[off:], at+uint64(off))
		}
		prev = next
	}
	return found
}

// A tag with a size, against MmPageSize: how many bits of the two differ. A size is
// a multiple of 8 up to 0x800, so that it has one to eight bits set.
var (
	fewestBits = bits.OnesCount64(uint64(wire.OwnerTag)^physmem.PageSize) + 1
	mostBits   = fewestBits + 7
)

// encoded decodes what may be the start of an encoded block.
func (s search) encoded(found []Candidate, b []byte, at uint64) []Candidate {
	le := binary.LittleEndian
	tag, page := le.Uint64(b[wire.OffOwnerTag:]), le.Uint64(b[wire.OffMmPageSize:])
	// Neither rotation nor byte order changes how many bits differ: this leaves
	// little of other memory for solve.
	if n := bits.OnesCount64(tag ^ page); n < fewestBits || n > mostBits {
		return found
	}
	c, ok := wire.Solve(tag, page)
	if !ok {
		return found
	}
	plain := bytes.Clone(b[:span])
	c.Decode(plain)
	for _, l := range s.layouts {
		if c, ok := candidate(l, plain); ok && l.Encodes && c.PageSize == physmem.PageSize {
			c.At, c.Encoded = at, true
			found = append(found, c)
		}
	}
	return found
}

func (s search) plain(found []Candidate, b []byte, at uint64) []Candidate {
	for _, l := range s.layouts {
		if c, ok := candidate(l, b); ok && s.takes(l, c.PageSize) {
			c.At = at
			found = append(found, c)
		}
	}
	return found
}

// candidate checks the words of a plain block that need no page tables. Of a kernel
// with pointers of 32 bits, what is behind the list entry is zero, and the upper halves
// of addresses are zero or repeat bit 31.
func candidate(l *kdbg.Layout, b []byte) (Candidate, bool) {
	var d wire.Data
	le := binary.LittleEndian
	size := le.Uint32(b[wire.OffSize:])
	base, ok := kernelIn(l, b, unsafe.Offsetof(d.KernBase))
	if !ok || !wire.ValidSize(size) || base%physmem.PageSize != 0 || !zero(b[2*l.PointerSize:wire.OffOwnerTag]) {
		return Candidate{}, false
	}
	for _, offset := range []uintptr{unsafe.Offsetof(d.PsLoadedModuleList), unsafe.Offsetof(d.PsActiveProcessHead)} {
		if v, ok := kernelIn(l, b, offset); !ok || v < base || v-base >= peimage.MaxSize {
			return Candidate{}, false
		}
	}
	return Candidate{Layout: l, Size: size, List: vtop.VA(l.Pointer(b, 0)), KernBase: base, PageSize: le.Uint64(b[wire.OffMmPageSize:])}, true
}

// kernelIn is the kernel address in a qword of a block.
func kernelIn(l *kdbg.Layout, b []byte, offset uintptr) (vtop.VA, bool) {
	v := binary.LittleEndian.Uint64(b[offset:])
	va := v & uint64(l.Last())
	upper := v - va
	return vtop.VA(va), l.IsKernel(vtop.VA(va)) && (upper == 0 || upper == ^uint64(l.Last()))
}

// zero reports whether b is all zeros.
func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
