// Package physmemtest checks that a memory image behaves as package physmem
// promises, whatever its format: what testing/fstest is for file systems.
package physmemtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"testing/iotest"

	"windmp/physmem"
	"windmp/physmem/open"
)

// Open opens the image in file, of a format that is recognised.
func Open(file []byte) (*physmem.Image, error) {
	return OpenReader(bytes.NewReader(file), int64(len(file)), open.Options{})
}

// OpenReader opens the image of size bytes in r.
func OpenReader(r io.ReaderAt, size int64, opt open.Options) (*physmem.Image, error) {
	return open.Source(context.Background(), physmem.NewSource("", r, size), opt)
}

const (
	// limit is how much of a range is read at each of its ends.
	limit = 1 << 16
	// limitOfReader is how much of that is read as a stream, in pieces of a few bytes: over
	// the end of a page.
	limitOfReader = 0x1080
)

// Test checks an image that must hold exactly the ranges of want, sorted,
// disjoint, adjacent ones merged. byteAt gives the byte at a physical address;
// nil skips the comparison of contents.
//
// It checks reads of all sizes around the ends of the ranges, that holes are
// errors with their address and size, that Missing is the complement of
// Ranges, that extents are in order and inside the file, and that concurrent
// reads agree. Large ranges are read at their ends only. The error has all
// that was found.
func Test(m *physmem.Image, want []physmem.Range, byteAt func(pa uint64) byte) error {
	t := &tester{m: m, ranges: m.Ranges(), byteAt: byteAt}
	if !slices.Equal(t.ranges, want) {
		t.errorf("Ranges: got %v, want %v", t.ranges, want)
	}
	t.order()
	t.extents()
	for i := range t.ranges {
		t.reads(i)
	}
	t.holes()
	t.arguments()
	t.concurrent()
	return errors.Join(t.errs...)
}

// tester collects what is wrong with an image.
type tester struct {
	m      *physmem.Image
	ranges []physmem.Range
	byteAt func(pa uint64) byte
	errs   []error
}

// maxErrors keeps a thoroughly broken image from filling the terminal.
const maxErrors = 20

func (t *tester) errorf(format string, args ...any) {
	if len(t.errs) < maxErrors {
		t.errs = append(t.errs, fmt.Errorf(format, args...))
	}
}

// order checks that the ranges are sorted, disjoint, not adjacent, not empty.
func (t *tester) order() {
	end := uint64(0)
	for i, r := range t.ranges {
		if r.Size == 0 || r.Size > math.MaxUint64-r.Start {
			t.errorf("range %d, %v: empty, or it wraps", i, r)
			return
		}
		if i > 0 && r.Start <= end {
			t.errorf("range %d, %v: begins below or at the end of the one before (0x%x)", i, r, end)
		}
		end = r.End()
	}
}

// extents checks that extents, if the image has any, are sorted, disjoint,
// inside the file, and cover the same bytes as the ranges.
func (t *tester) extents() {
	list := slices.Collect(t.m.Extents(0))
	if len(list) == 0 {
		return
	}
	var united []physmem.Range
	for i, e := range list {
		switch n := len(united); {
		case e.Size == 0:
			t.errorf("extent %d, %v: empty", i, e.Range)
		case n > 0 && e.Start < united[n-1].End():
			t.errorf("extent %d, %v: begins below the end of the one before (0x%x)", i, e.Range, united[n-1].End())
		case n > 0 && e.Start == united[n-1].End():
			united[n-1].Size += e.Size
		default:
			united = append(united, e.Range)
		}
		if size := t.m.FileSize(); e.Offset < 0 || t.m.MemoryFile() == "" && (e.Offset > size || e.Size > uint64(size-e.Offset)) {
			t.errorf("extent %d, %v: at file offset 0x%x it goes past the end of the file (0x%x)", i, e.Range, e.Offset, size)
		}
	}
	if !slices.Equal(united, t.ranges) {
		t.errorf("Extents cover %v, Ranges say %v", united, t.ranges)
	}
}

// reads reads a range in many ways.
func (t *tester) reads(i int) {
	r := t.ranges[i]
	if r.End() > math.MaxInt64 {
		return
	}
	for _, part := range ends(r) {
		whole := make([]byte, part.Size)
		if n, err := t.m.ReadAt(whole, int64(part.Start)); n != len(whole) || err != nil {
			t.errorf("%v: ReadAt gave 0x%x bytes and %v", part, n, err)
			continue
		}
		t.compare(part, whole)
		first := whole[:min(len(whole), limitOfReader)]
		section := io.NewSectionReader(t.m, int64(part.Start), int64(len(first)))
		if err := iotest.TestReader(section, first); err != nil {
			t.errorf("%v: %w", part, err)
		}
		for _, step := range []uint64{1, 7, 0xfff, 0x1000, 0x1001} {
			t.steps(part, whole, step)
		}
	}
	t.pastEnd(r)
}

// ends returns the range if it is short, or its beginning and its end.
func ends(r physmem.Range) []physmem.Range {
	if r.Size <= 2*limit {
		return []physmem.Range{r}
	}
	return []physmem.Range{{Start: r.Start, Size: limit}, {Start: r.End() - limit, Size: limit}}
}

// compare compares what was read with what must be there.
func (t *tester) compare(r physmem.Range, got []byte) {
	if t.byteAt == nil {
		return
	}
	for i, b := range got {
		pa := r.Start + uint64(i)
		if want := t.byteAt(pa); b != want {
			t.errorf("byte at 0x%x: got 0x%x, want 0x%x", pa, b, want)
			return
		}
	}
}

// steps reads pieces of a range at odd places and compares them with the whole.
func (t *tester) steps(r physmem.Range, whole []byte, step uint64) {
	buf := make([]byte, step)
	for at := uint64(0); at+step <= r.Size && at < 64*step; at += step {
		n, err := t.m.ReadAt(buf, int64(r.Start+at))
		if n != len(buf) || err != nil || !bytes.Equal(buf, whole[at:at+step]) {
			t.errorf("0x%x bytes at 0x%x: got 0x%x bytes and %v, or other bytes than in one large read", step, r.Start+at, n, err)
			return
		}
	}
}

// pastEnd checks that a read over the end of a range gives what is before it.
func (t *tester) pastEnd(r physmem.Range) {
	before := min(r.Size, 0x10)
	buf := make([]byte, before+0x10)
	n, err := t.m.ReadAt(buf, int64(r.End()-before))
	if uint64(n) != before {
		t.errorf("read over the end of %v: got 0x%x bytes, want 0x%x", r, n, before)
	}
	t.hole(err, r.End())
	n, err = t.m.ReadAt(buf[:1], int64(r.End()))
	if n != 0 {
		t.errorf("read at the end of %v: got 0x%x bytes", r, n)
	}
	t.hole(err, r.End())
}

// hole checks the error of a read that met a hole at pa.
func (t *tester) hole(err error, pa uint64) {
	size := uint64(0)
	for _, r := range t.ranges {
		if r.Start > pa {
			size = r.Start - pa
			break
		}
	}
	want := physmem.NotInImageError{PA: pa, Size: size}
	var got *physmem.NotInImageError
	if !errors.As(err, &got) || *got != want || !errors.Is(err, physmem.ErrNotInImage) {
		t.errorf("hole at 0x%x: got error %v, want %v", pa, err, &want)
	}
}

// holes checks Missing, and a read in front of each range.
func (t *tester) holes() {
	at := uint64(0)
	var missing []physmem.Range
	for _, r := range t.ranges {
		if r.Start > at {
			missing = append(missing, physmem.Range{Start: at, Size: r.Start - at})
			if r.Start <= math.MaxInt64 {
				_, err := t.m.ReadAt(make([]byte, 2), int64(r.Start-1))
				t.hole(err, r.Start-1)
			}
		}
		if got := t.m.Missing(r); len(got) != 0 {
			t.errorf("Missing(%v): got %v of a range that is there", r, got)
		}
		at = r.End()
	}
	all := physmem.Range{Size: at + 0x1000}
	missing = append(missing, physmem.Range{Start: at, Size: 0x1000})
	if got := t.m.Missing(all); !slices.Equal(got, missing) {
		t.errorf("Missing(%v): got %v, want %v", all, got, missing)
	}
	if got := t.m.Missing(physmem.Range{}); len(got) != 0 {
		t.errorf("Missing of nothing: got %v", got)
	}
}

// arguments checks reads that ask for nothing, or below address 0.
func (t *tester) arguments() {
	for _, pa := range []int64{0, 0x1000, math.MaxInt64} {
		if n, err := t.m.ReadAt(nil, pa); n != 0 || err != nil {
			t.errorf("ReadAt of no bytes at 0x%x: got 0x%x bytes and %v", pa, n, err)
		}
	}
	for _, pa := range []int64{-1, math.MinInt64} {
		n, err := t.m.ReadAt(make([]byte, 8), pa)
		if n != 0 || err == nil || errors.Is(err, physmem.ErrNotInImage) {
			t.errorf("ReadAt at %d: got 0x%x bytes and %v, want an error of its own", pa, n, err)
		}
	}
	n, err := t.m.ReadAt(make([]byte, 8), math.MaxInt64)
	if n != 0 || !errors.Is(err, physmem.ErrNotInImage) {
		t.errorf("ReadAt at the highest address: got 0x%x bytes and %v", n, err)
	}
}

// concurrent reads the beginning of all ranges in several goroutines.
func (t *tester) concurrent() {
	const workers = 4
	results := make([][]byte, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for _, r := range t.ranges[:min(len(t.ranges), 64)] {
				buf := make([]byte, min(r.Size, 0x2000))
				n, _ := t.m.ReadAt(buf, int64(r.Start&math.MaxInt64))
				results[w] = append(results[w], buf[:n]...)
			}
		})
	}
	wg.Wait()
	for w := range workers {
		if !bytes.Equal(results[w], results[0]) {
			t.errorf("concurrent reads differ")
			return
		}
	}
}
