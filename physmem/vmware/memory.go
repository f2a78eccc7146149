package vmware

import (
	"errors"
	"fmt"
	"time"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// maxRegions caps the regions of memory. VMware's reader in crash takes 3, LeechCore 64.
const maxRegions = 64

// region is a stretch of memory: pages, guest-physical and of the memory's file.
type region struct {
	ppn, pageNum, pages uint64
	has                 [3]bool
	at                  int64 // file offset of its first tag
}

// takeRegion takes one of the tags that describe a region.
func (s *state) takeRegion(t *tag, field int) {
	v, ok := t.number()
	if !ok || t.indices != 1 {
		s.odd.Add(physmem.OddityBadSegment, t.offset(), "%s of the memory is no number of a region", t.name)
		return
	}
	i := t.index[0]
	if i >= maxRegions {
		s.odd.Add(physmem.OddityLimit, t.offset(), "region %d of the memory is one of more than the %d that are read", i, maxRegions)
		return
	}
	for uint32(len(s.regions)) <= i { //nolint:gosec // at most maxRegions
		s.regions = append(s.regions, region{at: t.offset()})
	}
	r := &s.regions[i]
	if r.has[field] {
		s.odd.Add(physmem.OddityNoteDuplicate, t.offset(), "%s of region %d is there again; the first one is used", t.name, i)
		return
	}
	*[...]*uint64{&r.ppn, &r.pageNum, &r.pages}[field] = v
	r.has[field] = true
}

// The fields of a region.
const (
	fieldPPN = iota
	fieldPageNum
	fieldPages
)

// maxPages is more pages than physical addresses have.
const maxPages = physmem.MaxAddress / physmem.PageSize

// place returns where the memory lies in a file that has size bytes of it from an
// offset on: what the regions say, or all of it from address 0 on if there are none.
func (s *state) place(at, size uint64) ([]physmem.Extent, error) {
	list := s.wholeRegions()
	if len(list) == 0 && s.regionCount == 0 {
		list = []region{{pages: (size + physmem.PageSize - 1) / physmem.PageSize}}
	}
	var pieces []extents.Piece
	var end, total uint64 // of the memory that is described, in the file
	for i, r := range list {
		offset, length := r.pageNum*physmem.PageSize, r.pages*physmem.PageSize
		end, total = max(end, offset+length), total+length
		have := binio.Clip(offset, length, size)
		start, ok := binio.Int64(at + offset)
		if have == 0 || !ok {
			continue
		}
		pieces = append(pieces, extents.Piece{Order: i, Extent: physmem.Extent{
			Range: physmem.Range{Start: r.ppn * physmem.PageSize, Size: have}, Offset: start,
		}})
	}
	s.checkSize(at, size, end, total)
	if len(pieces) == 0 {
		e := &physmem.FormatError{Format: physmem.FormatVMware, Field: "regions of memory", Reason: "none describes memory that the file holds"}
		if end > size {
			e.Cut, e.Hint = &physmem.Cut{Size: at + size, Whole: at + end}, physmem.HintIncomplete
		}
		return nil, e
	}
	resolved, clash := extents.Resolve(pieces)
	if clash != nil {
		s.odd.Add(physmem.OddityConflict, 0, "several regions have the same memory; the first region is believed").Because("that at physical address 0x%x, at file offsets 0x%x and 0x%x",
			clash.PA, clash.Offsets[0], clash.Offsets[1])
	}
	return resolved, nil
}

// wholeRegions are those regions of which everything is known.
func (s *state) wholeRegions() (list []region) {
	if n := uint64(len(s.regions)); s.hasCount && n != s.regionCount {
		s.odd.Add(physmem.OddityCount, 0, "the state counts %d regions of memory and describes %d, which are used", s.regionCount, n)
	}
	for i, r := range s.regions {
		if r.has != [3]bool{true, true, true} || r.ppn >= maxPages || r.pageNum >= maxPages || r.pages > maxPages-max(r.ppn, r.pageNum) || r.pages == 0 {
			s.odd.Add(physmem.OddityBadSegment, r.at, "region %d of the memory makes no sense or is not all there; it is left out", i).Because("0x%x pages from page 0x%x, in the file from page 0x%x",
				r.pages, r.ppn, r.pageNum)
			continue
		}
		list = append(list, r)
	}
	return list
}

// checkSize compares what memory there is with what the state says of it.
func (s *state) checkSize(at, size, end, total uint64) {
	switch want := s.memSize; {
	case end > size:
		s.odd.Add(physmem.OddityTruncated, 0, "%s", physmem.Cut{Size: at + size, Whole: at + end}).Because("its memory ends at 0x%x and would at 0x%x", at+size, at+end)
	case size > end:
		s.odd.Add(physmem.OddityCount, 0, "the memory's file has %s and the state describes %s: it may be that of another state", binio.Bytes(size), binio.Bytes(end)).Because("0x%x bytes and 0x%x", size, end)
	case want > 0 && want != total:
		s.odd.Add(physmem.OddityCount, 0, "the state says %s of memory and describes %s", binio.Bytes(want), binio.Bytes(total)).Because("0x%x bytes and 0x%x", want, total)
	}
}

// noteRunning notes that the memory may be later than the state: the machine was
// resumed from it, or a machine that runs has the file open. beside is a file in the
// same folder, name that of the memory.
func (s *state) noteRunning(beside physmem.Source, name string) {
	switch {
	case magics[s.magic].restored:
		s.odd.Add(physmem.OddityTorn, 0,
			"the state is marked as one from which the machine was resumed: if it ran on with this %s, pages of it are of later moments than the registers and than each other", endMemory)
	case isLocked(beside, name):
		s.odd.Add(physmem.OddityTorn, 0, "%s is there: a machine that runs has the memory open, and pages of it are of different moments", name+endLock)
	}
}

// lateness is how much later than the state its memory may be written without a word:
// VMware's products write both, the larger one for minutes.
const lateness = time.Hour

// noteLater notes that the memory's file was written to long after the state's.
func (s *state) noteLater(state, mem physmem.Source) {
	a, b := physmem.ModTime(state), physmem.ModTime(mem)
	if late := b.Sub(a); !a.IsZero() && !b.IsZero() && late > lateness {
		s.odd.Add(physmem.OddityLater, 0, "%s was written to %s after %s: if the machine ran on with it, pages are of later moments than the registers",
			mem.Name(), late.Round(time.Minute), state.Name())
	}
}

// isLocked reports whether a machine that runs has a file open.
func isLocked(beside physmem.Source, name string) bool {
	_, err := beside.OpenSibling(name + endLock)
	var folder *physmem.UnsupportedError
	return err == nil || errors.As(err, &folder)
}

// memory is memory of which nothing says where it has holes: a .vmem file without its
// state, or with one that ends too early. It is a [physmem.HoleTaker].
type memory struct {
	*extents.Memory
	// of is what is known beside the memory.
	of   physmem.Container
	src  physmem.Source
	at   uint64 // offset of the memory in src
	size uint64
}

// alone opens a .vmem file without its state.
func alone(src physmem.Source, odd *physmem.Oddities) (*physmem.Container, error) {
	odd.Add(physmem.OddityUntried, 0, "%s", untried)
	if isLocked(src, src.Name()) {
		odd.Add(physmem.OddityTorn, 0, "%s is there: a machine that runs has the file open, and pages of it are of different moments", src.Name()+endLock)
	} else {
		odd.Add(physmem.OddityTorn, 0, "neither %s nor %s is beside it: there are no registers, and nothing says that the machine stood still, so that pages may be of different moments",
			renamed(src.Name(), endSuspended), renamed(src.Name(), endSnapshot))
	}
	size := binio.Uint64(src.Size())
	of := physmem.Container{Description: fmt.Sprintf("VMware memory of %s without its state; %s", binio.Bytes(size), untriedShort), Oddities: odd.All()}
	return (&memory{of: of, src: src, size: size}).WithHoles(nil)
}

// WithHoles implements [physmem.HoleTaker].
func (m *memory) WithHoles(holes []physmem.Range) (*physmem.Container, error) {
	list, used := extents.Around(m.size, physmem.Normalize(holes))
	if end := list[len(list)-1].End(); end > physmem.MaxAddress {
		return nil, extents.AboveMemory(physmem.FormatVMware, end)
	}
	for i := range list {
		list[i].Offset += int64(m.at) //nolint:gosec // inside the file
	}
	c := m.of
	c.Memory = &memory{Memory: extents.New(m.src, list), of: m.of, src: m.src, at: m.at, size: m.size}
	if len(used) > 0 {
		c.Description += "; without " + physmem.JoinRanges(used)
	}
	return &c, nil
}
