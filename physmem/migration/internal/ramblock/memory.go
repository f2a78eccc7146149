package ramblock

import (
	"io"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
)

const (
	// batchPages is how many pages are located at once.
	batchPages = 64
	// maxGap is how far two pages may lie from each other, end to begin, to be read
	// with one read: there is a word in between, or a section begins.
	maxGap = 256
	// keptReaders is how many readers are kept, as many as the copy has workers.
	keptReaders = 16
)

// Memory is the guest's memory in the blocks of a stream.
type Memory struct {
	r       io.ReaderAt
	size    uint64 // of the file
	places  []Place
	ranges  []physmem.Range // that the stream has
	changes []change
	readers chan *reader // that are not in use
}

// A Place says at what guest-physical addresses a stretch of a block is.
type Place struct {
	physmem.Range
	Block *Block
	First uint64 // page of the block
}

// page is the page of the block at an address of the place.
func (p *Place) page(pa uint64) uint64 { return p.First + (pa-p.Start)/pageSize }

// NewMemory returns the memory of blocks at their places, sorted and disjoint, of which
// an index says where their pages are. It is false if there are more stretches than
// [MaxHoles].
func NewMemory(src physmem.Source, places []Place, index *Index) (*Memory, bool) {
	m := &Memory{r: src, size: binio.Uint64(src.Size()), places: places, changes: index.changes, readers: make(chan *reader, keptReaders)}
	for i := range places {
		p := &places[i]
		runs, ok := p.Block.present(p.First, p.First+p.Size/pageSize)
		if !ok {
			return nil, false
		}
		for _, run := range runs {
			x := physmem.Range{Start: p.Start + (run.BasePage-p.First)*pageSize, Size: run.PageCount * pageSize}
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
func (m *Memory) Ranges() []physmem.Range { return m.ranges }

// rangeAt returns the range that an address lies in; if there is none, the error says
// how far the hole goes.
func (m *Memory) rangeAt(pa uint64) (physmem.Range, error) {
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
func (m *Memory) placeOf(pa uint64) *Place {
	i, _ := slices.BinarySearchFunc(m.places, pa, func(p Place, pa uint64) int {
		if p.End() <= pa {
			return -1
		}
		return 1
	})
	return &m.places[i]
}

// FileOffset returns where the file has the byte at an address that it holds, as long as
// its page is there as it is; otherwise 0.
func (m *Memory) FileOffset(pa uint64) int64 {
	if _, err := m.rangeAt(pa); err != nil {
		return 0
	}
	at := m.placeOf(pa)
	if l := at.Block.locate(at.page(pa)); l.kind() == plain {
		return int64(l.place() + pa%pageSize) //nolint:gosec // inside the file
	}
	return 0
}

// ReadAt implements [physmem.Memory].
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
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
func (m *Memory) batch(k *reader, p []byte, at *Place, pa uint64) (int, error) {
	first, within := at.page(pa), pa%pageSize
	count := (within + uint64(len(p)) + pageSize - 1) / pageSize
	list := k.located[:count]
	for i := range list {
		list[i] = at.Block.locate(first + uint64(i))
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
func (m *Memory) plain(k *reader, p []byte, list []location, within uint64) (int, error) {
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
func (m *Memory) read(p []byte, at uint64) (int, error) {
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

// NextData implements [physmem.DataFinder]: it passes over pages of zeros.
func (m *Memory) NextData(off int64) int64 {
	pa := binio.Uint64(off)
	r, err := m.rangeAt(pa)
	if err != nil {
		return off
	}
	for pa < r.End() {
		at := m.placeOf(pa)
		first, end := at.page(pa), at.page(min(at.End(), r.End()))
		if page := at.Block.nextData(first, end); page < end {
			if page == first {
				return int64(pa) //nolint:gosec // below MaxAddress
			}
			return int64(at.Start + (page-at.First)*pageSize) //nolint:gosec // below MaxAddress
		}
		pa = min(at.End(), r.End())
	}
	return int64(pa) //nolint:gosec // below MaxAddress
}
