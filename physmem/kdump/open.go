package kdump

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"unsafe"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/bitmap"
)

// openMemory reads the bitmap of the pages that are in the file. The first of
// the two says what memory the machine had, the second what was saved.
func (f *kdumpFile) openMemory() (*kdumpMemory, error) {
	h := &f.hdr
	half := uint64(h.BitmapBlocks) / 2 * f.block()
	bitmapAt := (1+uint64(h.SubHdrSize))*f.block() + half
	pages := f.maxMapnr()
	if room := half * 8; pages > room {
		f.odd.Add(physmem.OddityCount, f.place(uint64(unsafe.Offsetof(h.MaxMapnr))),
			"the header counts %d page frames, its bitmap has %d", pages, room)
		pages = room
	}
	bytes := (pages + 7) / 8
	if most := bitmap.MaxSize / f.block(); pages > most {
		return nil, &physmem.FormatError{
			Format: physmem.FormatKdump, Offset: f.place(uint64(unsafe.Offsetof(h.MaxMapnr))), Field: "header: max_mapnr",
			Got: fmt.Sprintf("0x%x", pages), Want: fmt.Sprintf("at most 0x%x", most),
		}
	}
	// What a flattened file describes may be larger than it is.
	if !binio.Within(bitmapAt, bytes, f.size) || bytes > f.fileSize {
		return nil, &physmem.FormatError{
			Format: physmem.FormatKdump, Offset: f.place(uint64(unsafe.Offsetof(h.BitmapBlocks))), Field: "header: bitmaps",
			Got: fmt.Sprintf("0x%x bytes at 0x%x", bytes, bitmapAt), Reason: fmt.Sprintf("the file ends at 0x%x", f.size),
			Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: f.fileSize},
		}
	}
	set, err := bitmap.Read(f.ctx, f.r, int64(bitmapAt), pages, f.block(), bitmap.Place{Format: physmem.FormatKdump, Offset: f.place(bitmapAt)}) //nolint:gosec // inside the file
	if err != nil {
		return nil, err
	}
	m := &kdumpMemory{
		r: f.r, size: f.size, page: f.block(), described: set, present: set, place: f.place,
		descAt: (1 + uint64(h.SubHdrSize) + uint64(h.BitmapBlocks)) * f.block(),
	}
	m.readers = make(chan *kdumpReader, kdumpReaders)
	if err := f.leaveOutMissing(m); err != nil {
		return nil, err
	}
	m.united = sync.OnceValue(m.present.Ranges)
	if m.present.Count() == 0 {
		return nil, &physmem.FormatError{
			Format: physmem.FormatKdump, Field: "pages", Offset: f.place(bitmapAt),
			Reason: "none is in the file", Hint: physmem.HintIncomplete, Cut: f.cut(m),
		}
	}
	return m, nil
}

// maxMapnr returns the end of the page frame numbers.
func (f *kdumpFile) maxMapnr() uint64 {
	if f.hdr.HeaderVersion >= kdumpHas64BitPFN && f.sub.MaxMapnr64 != 0 {
		return f.sub.MaxMapnr64
	}
	return uint64(f.hdr.MaxMapnr)
}

// leaveOutMissing looks for signs that data is missing at the end of the file,
// and finds out whose only then: that takes a look at every descriptor.
func (f *kdumpFile) leaveOutMissing(m *kdumpMemory) error {
	if err := m.findZeroPage(); err != nil {
		return err
	}
	var why string
	switch {
	case f.hdr.Status&kdumpIncomplete != 0:
		why = "its writer ran out of space and marked it incomplete"
	case f.flat != nil && !f.flat.ended:
		why = fmt.Sprintf("its flattened records end at file offset 0x%x, without the last one", f.flat.endsAt)
	default:
		complete, err := m.complete()
		if err != nil || complete {
			return err
		}
		why = "it ends before its pages do"
	}
	if err := m.dropMissing(); err != nil {
		return err
	}
	if lost := m.described.Count() - m.present.Count(); lost > 0 {
		f.odd.Add(physmem.OddityTruncated, 0, "%s", f.cut(m)).Because("%s; 0x%x of 0x%x pages", why, lost, m.described.Count())
	} else {
		f.odd.Add(physmem.OddityTruncated, 0, "the dump is incomplete, but no page of memory is missing").Because("%s", why)
	}
	return nil
}

// cut says how much of the memory is missing.
func (f *kdumpFile) cut(m *kdumpMemory) *physmem.Cut {
	return &physmem.Cut{Size: m.present.Count() * m.page, Whole: m.described.Count() * m.page, What: "memory"}
}

// dataAt returns where the data of the pages begins: behind the descriptors.
func (m *kdumpMemory) dataAt() uint64 { return m.descAt + m.described.Count()*kdumpDescSize }

// findZeroPage looks for the page of zeros that QEMU and makedumpfile write
// first, as it is, for all pages of zeros.
func (m *kdumpMemory) findZeroPage() error {
	d := pageDesc{off: m.dataAt(), size: uint32(m.page)} //nolint:gosec // a block's
	if !m.plausible(d) {
		return nil
	}
	b := make([]byte, m.page)
	if err := m.read(b, d.off); err != nil {
		return err
	}
	if binio.IsZero(b) {
		m.zero = d
	}
	return nil
}

// complete reports whether the descriptors, and the data of the last page that
// has any of its own, lie in the file. Writers append data in the order of the
// pages.
func (m *kdumpMemory) complete() (bool, error) {
	if m.dataAt() > m.size {
		return false, nil
	}
	const batch = 4096
	b := make([]byte, min(m.described.Count(), batch)*kdumpDescSize)
	for n := m.described.Count(); n > 0; {
		part := min(n, batch)
		if n+batch == m.described.Count() { // the last of them did not tell
			physmem.ReadsTable(m.r, n*kdumpDescSize)
		}
		n -= part
		b = b[:part*kdumpDescSize]
		if err := m.read(b, m.descAt+n*kdumpDescSize); err != nil {
			return false, err
		}
		for i := len(b) - kdumpDescSize; i >= 0; i -= kdumpDescSize {
			if d := decodePageDesc(b[i:]); !m.isZero(d) {
				return binio.Within(d.off, uint64(d.size), m.size), nil
			}
		}
	}
	return true, nil
}

// dropMissing sets present to the pages whose descriptor and data are there.
func (m *kdumpMemory) dropMissing() error {
	start, _ := binio.Int64(m.descAt)
	have := binio.Clip(m.descAt, m.described.Count()*kdumpDescSize, m.size) / kdumpDescSize
	physmem.ReadsTable(m.r, have*kdumpDescSize)
	r := bufio.NewReaderSize(io.NewSectionReader(m.r, start, int64(have*kdumpDescSize)), 1<<16) //nolint:gosec // inside the file
	var (
		b      [kdumpDescSize]byte
		failed error
		dataAt = m.dataAt()
	)
	m.present = m.described.With(m.described.First(have).Filter(func(_, rank uint64) bool {
		if failed != nil {
			return false
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			failed = &physmem.ReadError{Offset: m.place(m.descAt + rank*kdumpDescSize), Err: err}
			return false
		}
		d := decodePageDesc(b[:])
		return d.off >= dataAt && m.plausible(d)
	}))
	return failed
}

// errPagePlace says that a descriptor leads nowhere.
var errPagePlace = errors.New("its descriptor gives no place in the file")

// implausible is the error for a page whose descriptor makes no sense.
func (m *kdumpMemory) implausible(d pageDesc) error {
	return m.bad(d, fmt.Errorf("0x%x bytes at 0x%x: %w", d.size, d.off, errPagePlace))
}

// bad is the error for a page whose data cannot be used.
func (m *kdumpMemory) bad(d pageDesc, err error) error {
	return &physmem.ReadError{Offset: m.place(d.off), Damaged: true, Err: fmt.Errorf("%s: page data: %w", physmem.FormatKdump, err)}
}
