package extents

import (
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Around lays size bytes around sorted, disjoint holes, and returns the
// holes that lie below the end of memory.
func Around(size uint64, holes []physmem.Range) (list []physmem.Extent, used []physmem.Range) {
	var at, off uint64 // physical address and file offset
	for i := 0; off < size; i++ {
		n := size - off
		if i < len(holes) {
			n = min(n, holes[i].Start-at)
		}
		if n > 0 {
			start, _ := binio.Int64(off) // below size, an int64
			list = append(list, physmem.Extent{Range: physmem.Range{Start: at, Size: n}, Offset: start})
		}
		at, off = at+n, off+n
		if i < len(holes) && off < size {
			used = append(used, holes[i])
			at = holes[i].End()
		}
	}
	return list, used
}

// AboveMemory is the error for a file without structure, of a format, whose memory would
// end above what machines can address.
func AboveMemory(format physmem.Format, end uint64) error {
	return &physmem.FormatError{
		Format: format, Field: "file size", Got: fmt.Sprintf("memory up to 0x%x", end),
		Reason: "above the 52 bits of x86 physical memory",
	}
}
