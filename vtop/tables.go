package vtop

import "encoding/binary"

// Half is one of the two halves of an address space: x64 divides it by the
// highest translated bit, and Windows gives the upper half to the kernel.
type Half int

const (
	// UserHalf is what the lower entries of the topmost table map.
	UserHalf Half = iota
	// KernelHalf is what its upper entries map.
	KernelHalf
)

// Visitor is told what the tables of a half map, see [Space.Visit].
type Visitor interface {
	// Table is called for each page table, the topmost one first, and decides
	// whether its entries are visited. A table may be met again, also on
	// another level: the topmost table of Windows refers to itself, so a
	// visitor that says true each time is led through the tables as pages, a
	// level deeper each time, and still comes to an end.
	Table(pa PA, level int) bool
	// Page is called for each page that is mapped or in transition; size is
	// 4 KiB, 2 MiB or 1 GiB, pa is aligned to it.
	Page(pa PA, size uint64)
	// Unreadable is called for a table that memory does not give.
	Unreadable(pa PA, level int, err error)
}

// Visit goes through all tables that map one half of the address space and tells
// v of them and of the pages. Entries that are not present and malformed ones
// are passed over.
func (s *Space) Visit(half Half, v Visitor) {
	level := s.levels()
	if !v.Table(s.DTB, level) {
		return
	}
	const middle = 1 << (indexBits - 1)
	first, last := 0, middle
	if half == KernelHalf {
		first, last = middle, 2*middle
	}
	s.visit(v, Entry(s.DTB).Address(), level, first, last)
}

func (s *Space) visit(v Visitor, table PA, level, first, last int) {
	var page [1 << pageShift]byte
	if _, err := readFull(s.Mem, page[:], table); err != nil {
		v.Unreadable(table, level, err)
		return
	}
	size := uint64(1) << (pageShift + indexBits*(level-1))
	for i := first; i < last; i++ {
		e := Entry(binary.LittleEndian.Uint64(page[i*entrySize:]))
		switch {
		case level == 1:
			if e.Present() || e.Transition() {
				v.Page(e.Address(), size)
			}
		case !e.Present():
		case e.Large():
			if level <= maxLeaf && !e.reservedBits(size) {
				v.Page(e.Address()&^PA(size-1), size)
			}
		case v.Table(e.Address(), level-1):
			s.visit(v, e.Address(), level-1, 0, 1<<indexBits)
		}
	}
}
