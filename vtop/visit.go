package vtop

import "math"

// Half is one of the two halves of an address space, which [Mode].KernelStart
// divides.
type Half int

const (
	// UserHalf is what lies below the kernel's first address.
	UserHalf Half = iota
	// KernelHalf is the rest.
	KernelHalf
)

// Visitor is told what the tables of a half map, see [Space.Visit].
type Visitor interface {
	// Table is called for each page table, the topmost one first, and decides
	// whether its entries are visited. All have a page of their own, but for the
	// topmost one of [PAE], which has 32 bytes anywhere in a page. A table may be met again, also on
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
// are passed over. A mode without levels has no tables.
func (s *Space) Visit(half Half, v Visitor) {
	if s.Mode.flat() {
		return
	}
	first, last := VA(0), s.Mode.KernelStart-1
	if half == KernelHalf {
		first, last = last+1, ^VA(0)
	}
	level := len(s.Mode.Levels)
	first, last, ok := s.Mode.clip(first, last)
	root, known := s.rootOf(first)
	if !ok || !known || !v.Table(root, level) {
		return
	}
	w := borrow()
	defer w.giveBack()
	w.tables.use(s)
	w.tables.left = math.MaxInt
	w.tables.each(s, level, root, first, last, v, nil)
}

// Mapped visits the pages that the address space maps in [from, to], ascending,
// until visit returns false or limit entries of page tables were looked at; it
// reports whether all was visited. Tables that can't be read are passed over, as
// are pages in transition. A mode without levels does not tell what is mapped.
func (s *Space) Mapped(from, to VA, limit int, visit func(Mapping) bool) bool {
	from, to, ok := s.Mode.clip(from, to)
	if !ok || s.Mode.flat() {
		return true
	}
	w := borrow()
	defer w.giveBack()
	t := &w.tables
	t.use(s)
	t.left = limit
	pages := func(n *table, list []page) bool {
		for i := range list {
			p := &list[i]
			if p.to != toPage {
				continue
			}
			st := Step{Level: n.level, EntryPA: n.at + PA(int(p.i)*t.size), Entry: p.entry} //nolint:gosec // inside the table
			if !visit(st.mapping(t.address(n, int(p.i)), p.pa, n.shift, p.to)) {
				return false
			}
		}
		return true
	}
	middle := s.Mode.KernelStart
	if !s.Mode.Split || from >= middle || to < middle {
		return t.from(s, from, to, pages)
	}
	return t.from(s, from, middle-1, pages) && t.from(s, middle, to, pages)
}

// from visits the pages of addresses that one topmost table translates.
func (t *tables) from(s *Space, first, last VA, pages func(n *table, list []page) bool) bool {
	root, known := s.rootOf(first)
	return !known || t.each(s, len(t.levels), root, first, last, intoAll{}, pages)
}

// intoAll goes into every table.
type intoAll struct{}

func (intoAll) Table(PA, int) bool        { return true }
func (intoAll) Page(PA, uint64)           {}
func (intoAll) Unreadable(PA, int, error) {}
