package vtop

// Half is one of the two halves of an address space, which the highest translated
// bit divides. Windows gives the upper half to the kernel; 32-bit Windows booted
// with more than 2 GiB of user addresses (increaseuserva) gives it less than that.
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
	// whether its entries are visited. All have a page of their own, but for the
	// topmost one of PAE, which has 32 bytes anywhere in a page. A table may be met again, also on
	// another level: the topmost table of Windows refers to itself, so a
	// visitor that says true each time is led through the tables as pages, a
	// level deeper each time, and still comes to an end.
	Table(pa PA, level int) bool
	// Page is called for each page that is mapped or in transition; size is
	// that of a [Mapping], pa is aligned to it.
	Page(pa PA, size uint64)
	// Unreadable is called for a table that memory does not give.
	Unreadable(pa PA, level int, err error)
}

// Visit goes through all tables that map one half of the address space and tells
// v of them and of the pages. Entries that are not present and malformed ones
// are passed over.
func (s *Space) Visit(half Half, v Visitor) {
	f := s.paging()
	root := s.DTB & f.rootMask
	if !v.Table(root, f.levels) {
		return
	}
	first, last := PA(0), f.topEntries/2
	if half == KernelHalf {
		first, last = last, f.topEntries
	}
	s.visit(f, v, root, f.levels, first, last)
}

func (s *Space) visit(f *paging, v Visitor, table PA, level int, first, last PA) {
	var page [1 << pageShift]byte
	entries := page[:last*f.entrySize]
	if level < f.levels {
		entries = page[:]
	}
	if _, err := readFull(s.Mem, entries, table); err != nil {
		v.Unreadable(table, level, err)
		return
	}
	for i := first; i < last; i++ {
		e := f.decode(page[i*f.entrySize:])
		switch {
		case e.Present() && e&f.reserved[level] != 0:
		case level == 1:
			if e.Present() || e.Transition() {
				v.Page(e.Address(), 1<<pageShift)
			}
		case !e.Present():
		case e.Large():
			if f.mapsLarge(e, level) {
				v.Page(f.largeAddress(e, level), 1<<f.shift(level))
			}
		case v.Table(e.Address(), level-1):
			s.visit(f, v, e.Address(), level-1, 0, f.lastIndex+1)
		}
	}
}
