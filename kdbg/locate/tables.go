package locate

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/physmem"
)

const (
	// maxTables bounds the tables that [Tables] returns. kdbg.Memory holds a few: the
	// kernel's, and copies in buffers of dumps.
	maxTables = 16
	// poolUnit is what pool memory is aligned to, in pointers.
	poolUnit = 2
	// leastShare is the least part of the most pages that a table lists.
	leastShare = 2
)

// Tables searches memory, in the given ranges, for tables of physical memory as
// kernels of the layouts keep them, of which neither the kernel nor its page tables
// need be known: at least two runs, ascending, that hold as many pages as the table
// says, most of them and no more. Each must lie in one page, as pool memory does.
// Tables come in ascending order, each once, and only the first few. What can't be read
// is passed over; the error is ctx's.
func Tables(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, most uint64, layouts ...*kdbg.Layout) ([]physmem.Runs, error) {
	var found []physmem.Runs
	buf := buffers.Get(0) // as long as the longest window so far
	defer func() { buffers.Put(buf) }()
	for _, r := range ranges {
		for at := r.Start &^ (physmem.PageSize - 1); at < r.End(); at += windowSize {
			if ctx.Err() != nil {
				return found, fmt.Errorf("searching for tables of memory: %w", context.Cause(ctx))
			}
			size := min(r.End()-at, windowSize)
			buf = slices.Grow(buf[:0], int(size))[:size]
			n, _ := mem.ReadAt(buf, int64(at)) //nolint:gosec // the caller's addresses are those of a ReaderAt
			for page := range slices.Chunk(buf[:n], physmem.PageSize) {
				if binio.IsZero(page) {
					continue
				}
				for _, l := range layouts {
					found = tablesIn(l, found, page, most)
				}
			}
			if len(found) >= maxTables {
				return found[:maxTables], nil
			}
		}
	}
	return found, nil
}

// tablesIn appends the tables of physical memory in a page that are not among those
// found.
func tablesIn(l *kdbg.Layout, found []physmem.Runs, page []byte, most uint64) []physmem.Runs {
	unit := poolUnit * l.PointerSize
	for off := 0; off+3*unit <= len(page); off += unit {
		n := int(binary.LittleEndian.Uint32(page[off:]))
		if n < 2 || n > (len(page)-off)/unit-1 {
			continue
		}
		pages := l.Pointer(page, off+l.PointerSize)
		if pages > most || pages < most/leastShare {
			continue
		}
		runs := make(physmem.Runs, n)
		for i := range runs {
			at := off + unit + i*unit
			runs[i] = physmem.Run{BasePage: l.Pointer(page, at), PageCount: l.Pointer(page, at+l.PointerSize)}
		}
		same := func(x physmem.Runs) bool { return slices.Equal(x, runs) }
		if kdbg.CheckRuns(0, runs, pages) == nil && !slices.ContainsFunc(found, same) {
			found = append(found, runs)
		}
	}
	return found
}
