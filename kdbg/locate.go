package kdbg

import (
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

	"windmp/vtop"
)

const (
	// MaxCandidates bounds what [Locate] returns. A guest has a handful of
	// blocks: the kernel's, a driver's copy, what a dump in its cache holds.
	MaxCandidates = 4096

	// locateWindow is how much one read takes, bytes.
	locateWindow = 2 << 20
	// maxLocators bounds the goroutines of a scan.
	maxLocators = 8
	// locateSpan is what must lie in one piece of memory for a block to be seen:
	// all up to MmPageSize.
	locateSpan = int(offMmPageSize) + wordSize
)

// Range is Size bytes of memory from Start.
type Range struct{ Start, Size uint64 }

// Candidate is a place that looks like a debugger data block. It is believed only
// when [Read] or [Decode] verify it through page tables.
type Candidate struct {
	// At is its address in the memory that was searched.
	At uint64
	// Encoded says that it is encoded; the fields below are decoded.
	Encoded bool
	// Is32 says that it is a 32-bit kernel's.
	Is32 bool
	// Size is the block's, in bytes.
	Size uint32
	// List is where its list head lies, which points back to the block.
	List vtop.VA
	// KernBase is the kernel it belongs to.
	KernBase vtop.VA
}

// Locate searches memory for debugger data blocks, plain and encoded, in the given
// ranges. The memory may be physical, or a window of virtual memory.
//
// A plain block is known by its tag. An encoded one is found without keys by
// words that are related whatever the keys: the links of its list entry are equal
// (one block is registered), and the tag with the size differs from MmPageSize by
// one of 192 values rotated by one of 64 counts; see [Decode]. What the
// words then decode to must make sense.
//
// Candidates come in ascending order, the first [MaxCandidates] of them. What can't
// be read is passed over; the error is the first of these, or ctx's, and the
// candidates are returned with it. A block whose first 0x140 bytes lie in pages
// that are not adjacent in the memory searched is not seen.
func Locate(ctx context.Context, mem io.ReaderAt, ranges []Range) ([]Candidate, error) {
	return locate(ctx, mem, ranges, false)
}

// locate is Locate; anyLinks does without the links being equal, which costs more
// time: it is for memory of an image's size.
func locate(ctx context.Context, mem io.ReaderAt, ranges []Range, anyLinks bool) ([]Candidate, error) {
	l := &locator{mem: mem, anyLinks: anyLinks, windows: make(chan Range)}
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxLocators) {
		wait.Go(l.run)
	}
	err := feed(ctx, ranges, l.windows)
	close(l.windows)
	wait.Wait()
	slices.SortFunc(l.found, func(a, b Candidate) int { return cmp.Compare(a.At, b.At) })
	if len(l.found) > MaxCandidates {
		l.found = l.found[:MaxCandidates]
	}
	if err == nil {
		err = l.err
	}
	return l.found, err
}

// feed cuts ranges into windows that overlap by what a block needs.
func feed(ctx context.Context, ranges []Range, windows chan<- Range) error {
	for _, r := range ranges {
		start := (r.Start + wordSize - 1) &^ (wordSize - 1)
		for end := r.Start + r.Size; start < end && end-start >= uint64(locateSpan); start += locateWindow {
			select {
			case windows <- Range{Start: start, Size: min(end-start, locateWindow+uint64(locateSpan)-wordSize)}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// locator is a scan that runs.
type locator struct {
	mem      io.ReaderAt
	anyLinks bool
	windows  chan Range

	mu    sync.Mutex
	found []Candidate
	err   error
}

func (l *locator) run() {
	buf := make([]byte, locateWindow+locateSpan)
	for w := range l.windows {
		window := buf[:w.Size]
		n, err := l.mem.ReadAt(window, int64(w.Start)) //nolint:gosec // the caller's addresses are those of a ReaderAt
		found := search(window[:n], w.Start, l.anyLinks)
		if len(found) == 0 && n == len(window) {
			continue
		}
		l.mu.Lock()
		// Twice the cap is kept, as windows do not end in order.
		if len(l.found) < 2*MaxCandidates {
			l.found = append(l.found, found...)
		}
		if l.err == nil && n < len(window) {
			l.err = fmt.Errorf("searching for the debugger data block from %#x: %#x of %#x bytes are readable: %w", w.Start, n, w.Size, err)
		}
		l.mu.Unlock()
	}
}

// search looks at every word of buf, which lies at at, that has room behind it.
func search(buf []byte, at uint64, anyLinks bool) []Candidate {
	var found []Candidate
	if len(buf) < locateSpan {
		return nil
	}
	le := binary.LittleEndian
	last := len(buf) - locateSpan
	prev := le.Uint64(buf)
	for off := 0; off <= last; off += wordSize {
		next := le.Uint64(buf[off+wordSize:])
		if next == prev && prev != 0 || anyLinks {
			if c, ok := encodedAt(buf[off:]); ok {
				c.At = at + uint64(off)
				found = append(found, c)
			}
		}
		if le.Uint32(buf[off+int(offOwnerTag):]) == OwnerTag {
			if c, ok := plainAt(buf[off:]); ok {
				c.At = at + uint64(off)
				found = append(found, c)
			}
		}
		prev = next
	}
	return found
}

// A tag with a size, against MmPageSize: how many bits of the two differ. A size is
// a multiple of 8 up to 0x800, so that it has one to eight bits set.
var (
	fewestBits = bits.OnesCount64(uint64(OwnerTag)^pageSize) + 1
	mostBits   = fewestBits + 7
)

// encodedAt decodes what may be the start of an encoded block.
func encodedAt(b []byte) (Candidate, bool) {
	le := binary.LittleEndian
	tag, page := le.Uint64(b[offOwnerTag:]), le.Uint64(b[offMmPageSize:])
	// Neither rotation nor byte order changes how many bits differ: this leaves
	// little of other memory for solve.
	if n := bits.OnesCount64(tag ^ page); n < fewestBits || n > mostBits {
		return Candidate{}, false
	}
	c, ok := solve(tag, page)
	if !ok {
		return Candidate{}, false
	}
	return candidate(b, c.word, true)
}

// plainAt is for blocks of both widths: that of a 32-bit kernel has no address
// that a 64-bit one could have. None of those is ever encoded.
func plainAt(b []byte) (Candidate, bool) {
	c, ok := candidate(b, func(w uint64) uint64 { return w }, false)
	if !ok {
		return candidate32(b)
	}
	return c, true
}

// candidate checks the words that need no page tables.
func candidate(b []byte, word func(uint64) uint64, encoded bool) (Candidate, bool) {
	at := func(offset uintptr) uint64 { return word(binary.LittleEndian.Uint64(b[offset:])) }
	var d Data
	size := sizeOf(at(offOwnerTag))
	base := at(unsafe.Offsetof(d.KernBase))
	if !validSize(size) || at(offMmPageSize) != pageSize || base%pageSize != 0 || !upperHalf(base) {
		return Candidate{}, false
	}
	for _, offset := range []uintptr{unsafe.Offsetof(d.PsLoadedModuleList), unsafe.Offsetof(d.PsActiveProcessHead)} {
		if v := at(offset); v < base || v-base >= MaxImageSize {
			return Candidate{}, false
		}
	}
	return Candidate{Encoded: encoded, Size: size, List: vtop.VA(at(0)), KernBase: vtop.VA(base)}, true
}

// upperHalf reports whether a is a kernel address with 5 levels, and so perhaps
// with 4 (Intel SDM vol. 1, 3.3.7.1).
func upperHalf(a uint64) bool { return a>>56 == 0xff }
