package kdump

import (
	"encoding/binary"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/internal/bitmap"
)

// Page descriptors (makedumpfile diskdump_mod.h, page_desc): offset, size and
// flags of the page's data, and page flags that are of no use here.
const kdumpDescSize = 24

const (
	// kdumpBatch is how many pages are decompressed with one read of their
	// descriptors: 1 MiB with pages of 4 KiB, several blocks of the copy.
	kdumpBatch = 256
	// kdumpSpan caps the bytes of data that are read at once.
	kdumpSpan = 0x40000
	// kdumpKept is how many pages each reader keeps, so that a walk of page
	// tables, of which each step reads 8 bytes, does not decompress the same
	// few pages for every address.
	kdumpKept = 16
	// kdumpReaders is how many readers are kept for the next read, as many as
	// the copy has workers at most. They take 350 KiB each, 1.3 MiB with pages
	// of 64 KiB. A sync.Pool would lose them, and what they keep, at every garbage
	// collection.
	kdumpReaders = 16
)

// pageDesc is a page descriptor.
type pageDesc struct {
	off   uint64
	size  uint32
	flags uint32
}

func decodePageDesc(b []byte) pageDesc {
	le := binary.LittleEndian
	return pageDesc{off: le.Uint64(b), size: le.Uint32(b[8:]), flags: le.Uint32(b[12:])}
}

// plausible reports whether a page's data may be what the descriptor says. Writers
// keep a page as it is if compression gains nothing, so no page takes more than its
// size.
func (m *kdumpMemory) plausible(d pageDesc) bool {
	return d.size > 0 && uint64(d.size) <= m.page && binio.Within(d.off, uint64(d.size), m.size)
}

// kdumpMemory is memory in compressed pages. Descriptors and data are read when
// a page is.
type kdumpMemory struct {
	r    io.ReaderAt
	size uint64 // of the file
	page uint64 // the size of one, bytes
	// described has a descriptor for each member, in order, from file offset
	// descAt on. present are those whose data is there: mostly the same set.
	described, present *bitmap.Pages
	descAt             uint64
	zero               pageDesc // of the page of zeros that all such pages share, if size is not 0
	place              func(off uint64) int64
	united             func() []physmem.Range
	readers            chan *kdumpReader // that are not in use
}

// kdumpReader is what one read of memory needs.
type kdumpReader struct {
	pageCodec
	page  uint64 // the size of one, bytes
	descs [kdumpBatch * kdumpDescSize]byte
	data  [kdumpSpan]byte
	// kept are pages of which only a part was wanted, each in the slot that
	// its number gives. keptPage is that number plus 1, 0 if there is none.
	kept     [kdumpKept][]byte // page bytes each
	keptPage [kdumpKept]uint64
}

// isZero reports whether a descriptor is that of the shared page of zeros.
func (m *kdumpMemory) isZero(d pageDesc) bool { return d.size != 0 && d == m.zero }

// Ranges implements [physmem.Memory].
func (m *kdumpMemory) Ranges() []physmem.Range { return m.united() }

// ReadAt implements [physmem.Memory]: it decompresses the pages of p.
func (m *kdumpMemory) ReadAt(p []byte, off int64) (int, error) {
	pa := binio.Uint64(off)
	k := m.reader()
	defer m.release(k)
	n := 0
	for n < len(p) {
		page := pa / m.page
		if !m.present.Has(page) {
			return n, m.present.Hole(pa)
		}
		if slot := page % kdumpKept; k.keptPage[slot] == page+1 {
			got := copy(p[n:], k.kept[slot][pa%m.page:])
			n, pa = n+got, pa+uint64(got) //nolint:gosec // not negative
			continue
		}
		left := uint64(len(p) - n)
		behind := m.present.End(page, min((pa+left-1)/m.page+1, page+kdumpBatch))
		want := min(left, behind*m.page-pa)
		got, err := m.readPages(k, p[n:][:want], pa, behind-page)
		n += got
		if err != nil {
			return n, err
		}
		pa += want
	}
	return n, nil
}

// reader returns a reader of the caller's own.
func (m *kdumpMemory) reader() *kdumpReader {
	select {
	case k := <-m.readers:
		return k
	default:
		return newReader(m.page)
	}
}

func newReader(pageSize uint64) *kdumpReader {
	k := &kdumpReader{page: pageSize}
	for i := range k.kept {
		k.kept[i] = make([]byte, pageSize)
	}
	return k
}

// release keeps a reader for the next one who needs it.
func (m *kdumpMemory) release(k *kdumpReader) {
	select {
	case m.readers <- k:
	default:
	}
}

// readPages fills p from pa on, which takes count pages, all present.
func (m *kdumpMemory) readPages(k *kdumpReader, p []byte, pa, count uint64) (int, error) {
	at := m.descAt + m.described.Rank(pa/m.page)*kdumpDescSize
	raw := k.descs[:count*kdumpDescSize]
	if err := m.read(raw, at); err != nil {
		return 0, err
	}
	n := 0
	for len(raw) > 0 {
		d := decodePageDesc(raw)
		if m.isZero(d) {
			part := min(len(p)-n, int(m.page-pa%m.page)) //nolint:gosec // a part of a page
			clear(p[n:][:part])
			n, pa, raw = n+part, pa+uint64(part), raw[kdumpDescSize:] //nolint:gosec // not negative
			continue
		}
		pages, size, err := m.span(raw, d)
		if err != nil {
			return n, err
		}
		if err := m.read(k.data[:size], d.off); err != nil {
			return n, err
		}
		for at := uint64(0); pages > 0; pages-- {
			d := decodePageDesc(raw)
			part, err := k.decodePart(p[n:], k.data[at:][:d.size], d.flags, pa)
			if err != nil {
				return n, m.bad(d, err)
			}
			at += uint64(d.size)
			n, pa, raw = n+part, pa+uint64(part), raw[kdumpDescSize:] //nolint:gosec // not negative
		}
	}
	return n, nil
}

// span returns how many of the pages described by raw, of which d is the first,
// have their data back to back, and its size.
func (m *kdumpMemory) span(raw []byte, d pageDesc) (pages int, size uint64, err error) {
	if !m.plausible(d) {
		return 0, 0, m.implausible(d)
	}
	for next := d; ; {
		pages++
		size += uint64(next.size)
		if raw = raw[kdumpDescSize:]; len(raw) == 0 {
			return pages, size, nil
		}
		next = decodePageDesc(raw)
		if next.off != d.off+size || m.isZero(next) || !m.plausible(next) || size+uint64(next.size) > kdumpSpan {
			return pages, size, nil
		}
	}
}

// decodePart decompresses a page of which p wants what is from pa on, and
// returns how many bytes it put there.
func (k *kdumpReader) decodePart(p, src []byte, flags uint32, pa uint64) (int, error) {
	page, within := pa/k.page, pa%k.page
	if within == 0 && uint64(len(p)) >= k.page {
		return int(k.page), k.decode(p[:k.page], src, flags) //nolint:gosec // a block's
	}
	slot := page % kdumpKept
	k.keptPage[slot] = 0
	if err := k.decode(k.kept[slot], src, flags); err != nil {
		return 0, err
	}
	k.keptPage[slot] = page + 1
	return copy(p, k.kept[slot][within:]), nil
}

// read reads the file.
func (m *kdumpMemory) read(p []byte, off uint64) error {
	at, ok := binio.Int64(off)
	if !ok {
		return &physmem.ReadError{Err: io.ErrUnexpectedEOF}
	}
	if err := binio.ReadFull(m.r, p, at); err != nil {
		return &physmem.ReadError{Offset: m.place(off), Err: err}
	}
	return nil
}

// NextData implements [physmem.DataFinder]: it passes over the pages that have the
// descriptor of the page of zeros. What can't be read may hold anything.
func (m *kdumpMemory) NextData(off int64) int64 {
	pa := binio.Uint64(off)
	return int64(max(pa, m.nextPage(pa/m.page)*m.page)) //nolint:gosec // at most 2^48, or off
}

// nextPage returns the first page from a page on that may hold something, at most
// the end of the run that it lies in.
func (m *kdumpMemory) nextPage(page uint64) uint64 {
	if m.zero.size == 0 || !m.present.Has(page) {
		return page
	}
	var batch [kdumpBatch * kdumpDescSize]byte
	// The first one alone settles it for most pages.
	for count := uint64(1); m.present.Has(page); count = kdumpBatch {
		behind := m.present.End(page, page+count)
		raw := batch[:(behind-page)*kdumpDescSize]
		if m.read(raw, m.descAt+m.described.Rank(page)*kdumpDescSize) != nil {
			return page
		}
		for ; len(raw) > 0; raw = raw[kdumpDescSize:] {
			if !m.isZero(decodePageDesc(raw)) {
				return page
			}
			page++
		}
	}
	return page
}
