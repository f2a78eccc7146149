package migration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"windmp/internal/binio"
	"windmp/internal/inflate"
	"windmp/physmem"
)

const (
	// batchPages is how many pages are located at once.
	batchPages = 64
	// maxGap is how far two pages may lie from each other, end to begin, to be read
	// with one read: there is a word in between, or a section begins.
	maxGap = 256
	// keptPages is how many pages a reader keeps of those that take work, by number,
	// for a walk of page tables, which reads 8 bytes each time.
	keptPages = 16
	// keptReaders is how many readers are kept, as many as the copy has workers.
	keptReaders = 16
	// maxTurns caps how many times a page was changed since it was sent whole. A
	// stream has a turn for each round over the memory.
	maxTurns = 1 << 14
)

// memory is the guest's memory in the blocks of a stream.
type memory struct {
	r       io.ReaderAt
	size    uint64 // of the file
	places  []place
	ranges  []physmem.Range // that the stream has
	changes []change
	readers chan *reader // that are not in use
}

// A place says at what guest-physical addresses a stretch of a block is.
type place struct {
	physmem.Range
	block *block
	first uint64 // page of the block
}

// page is the page of the block at an address of the place.
func (p *place) page(pa uint64) uint64 { return p.first + (pa-p.Start)/pageSize }

// reader is what one read needs.
type reader struct {
	located [batchPages]location
	span    [batchPages * (pageSize + maxGap)]byte
	record  [maxPacked + 4]byte
	src     bytes.Reader
	zlib    inflate.Zlib
	// kept are pages that were put together, each in the slot of its location.
	kept   [keptPages][pageSize]byte
	keptAt [keptPages]location
}

// newMemory returns the memory of blocks at their places, sorted and disjoint. It is
// false if more stretches are missing than are kept.
func newMemory(src physmem.Source, places []place, changes []change) (*memory, bool) {
	m := &memory{r: src, size: binio.Uint64(src.Size()), places: places, changes: changes, readers: make(chan *reader, keptReaders)}
	for i := range places {
		p := &places[i]
		runs, ok := p.block.present(p.first, p.first+p.Size/pageSize)
		if !ok {
			return nil, false
		}
		for _, run := range runs {
			x := physmem.Range{Start: p.Start + (run.BasePage-p.first)*pageSize, Size: run.PageCount * pageSize}
			if n := len(m.ranges); n > 0 && m.ranges[n-1].End() == x.Start {
				m.ranges[n-1].Size += x.Size
				continue
			}
			m.ranges = append(m.ranges, x)
		}
	}
	return m, true
}

// Ranges implements [physmem.Memory].
func (m *memory) Ranges() []physmem.Range { return m.ranges }

// rangeAt returns the range that an address lies in; if there is none, the error says
// how far the hole goes.
func (m *memory) rangeAt(pa uint64) (physmem.Range, error) {
	i, _ := slices.BinarySearchFunc(m.ranges, pa, func(r physmem.Range, pa uint64) int {
		if r.End() <= pa {
			return -1
		}
		return 1
	})
	switch {
	case i == len(m.ranges):
		return physmem.Range{}, &physmem.NotInImageError{PA: pa}
	case pa < m.ranges[i].Start:
		return physmem.Range{}, &physmem.NotInImageError{PA: pa, Size: m.ranges[i].Start - pa}
	}
	return m.ranges[i], nil
}

// placeOf returns the place of an address that is in one of the ranges.
func (m *memory) placeOf(pa uint64) *place {
	i, _ := slices.BinarySearchFunc(m.places, pa, func(p place, pa uint64) int {
		if p.End() <= pa {
			return -1
		}
		return 1
	})
	return &m.places[i]
}

// ReadAt implements [physmem.Memory].
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	k := m.reader()
	defer m.release(k)
	pa, n := binio.Uint64(off), 0
	for n < len(p) {
		r, err := m.rangeAt(pa)
		if err != nil {
			return n, err
		}
		at := m.placeOf(pa)
		want := min(uint64(len(p)-n), r.End()-pa, at.End()-pa, batchPages*pageSize-pa%pageSize)
		got, err := m.batch(k, p[n:][:want], at, pa)
		n += got
		if err != nil {
			return n, err
		}
		pa += want
	}
	return n, nil
}

// batch fills p, of at most batchPages pages that all are there, from pa on.
func (m *memory) batch(k *reader, p []byte, at *place, pa uint64) (int, error) {
	first, within := at.page(pa), pa%pageSize
	count := (within + uint64(len(p)) + pageSize - 1) / pageSize
	list := k.located[:count]
	for i := range list {
		list[i] = at.block.locate(first + uint64(i))
	}
	n := 0
	for len(list) > 0 {
		pages, size := 1, min(len(p)-n, pageSize-int(within))
		var err error
		switch list[0].kind() {
		case zero:
			clear(p[n:][:size])
		case plain:
			if within == 0 {
				pages = together(list, (len(p)-n)/pageSize)
			}
			if pages > 1 {
				size = pages * pageSize
			}
			size, err = m.plain(k, p[n:][:size], list[:pages], within)
		default:
			var page []byte
			if page, err = m.assemble(k, list[0]); err == nil {
				size = copy(p[n:], page[within:])
			} else {
				size = 0
			}
		}
		n += size
		if err != nil {
			return n, err
		}
		list, within = list[pages:], 0
	}
	return n, nil
}

// together returns how many of the located pages, at most so many and at least one, can
// be read with one read.
func together(list []location, most int) int {
	n := 1
	for n < most && n < len(list) && list[n].kind() == plain && list[n] >= list[n-1]+pageSize && list[n] <= list[n-1]+pageSize+maxGap {
		n++
	}
	return n
}

// plain reads pages that lie near each other in the file, whole ones if there are
// several, and returns how much of p is filled.
func (m *memory) plain(k *reader, p []byte, list []location, within uint64) (int, error) {
	at, last := list[0].place()+within, list[len(list)-1].place()
	if len(list) == 1 || last-at == uint64(len(list)-1)*pageSize { //nolint:gosec // not empty
		return m.read(p, at)
	}
	span := k.span[:last+pageSize-at]
	got, err := m.read(span, at)
	n := 0
	for _, l := range list {
		from := int(l.place() - at) //nolint:gosec // inside the span
		if from >= got {
			break
		}
		n += copy(p[n:], span[from:min(from+pageSize, got)])
	}
	return n, err
}

// read reads the file.
func (m *memory) read(p []byte, at uint64) (int, error) {
	off, ok := binio.Int64(at)
	if !ok {
		return 0, &physmem.ReadError{Err: io.ErrUnexpectedEOF}
	}
	n, err := binio.ReadSome(m.r, p, off)
	if err != nil {
		return n, &physmem.ReadError{Offset: off + int64(n), Err: err}
	}
	return n, nil
}

// assemble returns a page that is compressed, or was changed, until the reader's next
// one.
func (m *memory) assemble(k *reader, l location) ([]byte, error) {
	slot := (l.place() ^ uint64(l.kind()>>kindShift)) % keptPages
	page := k.kept[slot][:]
	if k.keptAt[slot] == l {
		return page, nil
	}
	k.keptAt[slot] = missing
	turns, base, err := m.turns(l)
	if err != nil {
		return nil, err
	}
	switch base.kind() {
	case zero:
		clear(page)
	case plain:
		_, err = m.read(page, base.place())
	default:
		err = m.unpack(k, page, base.place())
	}
	for i := len(turns) - 1; i >= 0 && err == nil; i-- {
		err = m.change(k, page, m.changes[turns[i]].at)
	}
	if err == nil {
		k.keptAt[slot] = l
	}
	return page, err
}

// turns returns the changes of a page, the last one first, and where its content before
// them is.
func (m *memory) turns(l location) ([]uint64, location, error) {
	var list []uint64
	for ; l.kind() == changed; l = m.changes[l.place()].before {
		if len(list) == maxTurns {
			return nil, 0, damaged(m.changes[l.place()].at, fmt.Errorf("a page that was changed more than %d times", maxTurns))
		}
		list = append(list, l.place())
	}
	return list, l, nil
}

// change applies the changes in a record.
func (m *memory) change(k *reader, page []byte, at uint64) error {
	b := k.record[:min(uint64(xbzrleHeader+pageSize), m.size-at)]
	if _, err := m.read(b, at); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > len(b)-xbzrleHeader {
		return damaged(at, errXBZRLE)
	}
	if err := applyChanges(page, b[xbzrleHeader:][:n]); err != nil {
		return damaged(at, err)
	}
	return nil
}

var errPageSize = errors.New("it does not decompress to one page of 0x1000 bytes")

// unpack decompresses a page of which the length and the zlib stream are at a file
// offset.
func (m *memory) unpack(k *reader, page []byte, at uint64) error {
	const length = 4
	b := k.record[:min(uint64(length+maxPacked), m.size-at)]
	if _, err := m.read(b, at); err != nil {
		return err
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > uint64(len(b)-length) { //nolint:gosec // a file that was read so far has the length
		return damaged(at, errPageSize)
	}
	k.src.Reset(b[length:][:n])
	if err := k.inflate(page); err != nil {
		return damaged(at, err)
	}
	return nil
}

// inflate decompresses what the reader has to a page.
func (k *reader) inflate(page []byte) error {
	if err := k.zlib.Reset(&k.src); err != nil {
		return err
	}
	if _, err := io.ReadFull(&k.zlib, page); err != nil {
		return err
	}
	var over [1]byte
	switch n, err := io.ReadFull(&k.zlib, over[:]); {
	case n > 0:
		return errPageSize
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// damaged is the error for a page whose data is not what it should be.
func damaged(at uint64, err error) error {
	off, _ := binio.Int64(at)
	return &physmem.ReadError{Offset: off, Damaged: true, Err: fmt.Errorf("%s: page data: %w", physmem.FormatMigration, err)}
}

// reader returns a reader of the caller's own.
func (m *memory) reader() *reader {
	select {
	case k := <-m.readers:
		return k
	default:
		return new(reader)
	}
}

// release keeps a reader for the next one who needs it.
func (m *memory) release(k *reader) {
	select {
	case m.readers <- k:
	default:
	}
}

// NextData implements [physmem.DataFinder]: it passes over pages of zeros.
func (m *memory) NextData(off int64) int64 {
	pa := binio.Uint64(off)
	r, err := m.rangeAt(pa)
	if err != nil {
		return off
	}
	for pa < r.End() {
		at := m.placeOf(pa)
		first, end := at.page(pa), at.page(min(at.End(), r.End()))
		if page := at.block.nextData(first, end); page < end {
			if page == first {
				return int64(pa) //nolint:gosec // below MaxAddress
			}
			return int64(at.Start + (page-at.first)*pageSize) //nolint:gosec // below MaxAddress
		}
		pa = min(at.End(), r.End())
	}
	return int64(pa) //nolint:gosec // below MaxAddress
}
