package physmem

import (
	"io"
	"os"

	"windmp/internal/binio"
)

// A DataFinder is an io.ReaderAt that knows where it has holes, as a sparse file
// does. [New] makes use of it. What a hole reads as is zeros.
type DataFinder interface {
	io.ReaderAt
	// NextData returns the first offset from off on where there is no hole: off
	// itself if that is not known, the file's end if there is no data any more.
	NextData(off int64) int64
}

// FindData returns f as a DataFinder, by what the system says of it. That moves
// the file's offset, which ReadAt makes no use of.
func FindData(f *os.File) DataFinder { return diskFile{f} }

// diskFile is a file on a disk.
type diskFile struct{ *os.File }

// nextData asks r for the first offset from off on that is not in a hole.
func nextData(r io.ReaderAt, off int64) int64 {
	if f, ok := r.(DataFinder); ok {
		return max(off, f.NextData(off))
	}
	return off
}

// NextData returns the first guest-physical address from pa on that may hold
// something other than zeros, and what is below it from pa on reads as zeros. It
// is pa itself unless the file has a hole there or says in a few bytes that pages
// are zeros. It is at most the end of the memory around pa, of which the file
// keeps all in one piece. It reads no guest memory.
func (m *Image) NextData(pa uint64) uint64 {
	if f, ok := m.mem.(interface{ nextData(pa uint64) uint64 }); ok {
		return f.nextData(pa)
	}
	return pa
}

// nextData looks at the extent that pa lies in.
func (f *flat) nextData(pa uint64) uint64 {
	list := f.table.Load().read
	i := searchExtents(list, pa)
	if i == len(list) || pa < list[i].Start {
		return pa
	}
	off := list[i].at(pa, 0).Offset
	skipped := binio.Uint64(nextData(f.r, off) - off)
	return pa + min(skipped, list[i].End()-pa)
}

// nextData looks at the pages that follow each other in the file.
func (f *pageFile) nextData(pa uint64) uint64 {
	page, within := pa/PageSize, pa%PageSize
	if !f.present.Has(page) {
		return pa
	}
	off := f.offset(page) + int64(within)
	skipped := binio.Uint64(nextData(f.r, off) - off)
	if skipped == 0 {
		return pa
	}
	behind := f.present.End(page, page+skipped/PageSize+1)
	return pa + min(skipped, behind*PageSize-pa)
}

// nextData passes over the pages that have the descriptor of the page of zeros.
// What can't be read may hold anything.
func (m *kdumpMemory) nextData(pa uint64) uint64 {
	page := pa / PageSize
	if m.zero.size == 0 || !m.present.Has(page) {
		return pa
	}
	var batch [kdumpBatch * kdumpDescSize]byte
	// The first one alone settles it for most pages.
	for count := uint64(1); m.present.Has(page); count = kdumpBatch {
		behind := m.present.End(page, page+count)
		raw := batch[:(behind-page)*kdumpDescSize]
		if m.read(raw, m.descAt+m.described.Rank(page)*kdumpDescSize) != nil {
			return max(pa, page*PageSize)
		}
		for ; len(raw) > 0; raw = raw[kdumpDescSize:] {
			if !m.isZero(decodePageDesc(raw)) {
				return max(pa, page*PageSize)
			}
			page++
		}
	}
	return page * PageSize
}
