package vtop

import (
	"context"
	"encoding/binary"
	"io"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
)

// RootKind says why a page may be the root of an address space.
type RootKind int

const (
	// RootSelfMap is a table with a [SelfMap].
	RootSelfMap RootKind = iota + 1
	// RootMaps is a page that, taken for a root, maps all the addresses asked for.
	RootMaps
)

// String names the kind.
func (k RootKind) String() string {
	switch k {
	case RootSelfMap:
		return "self-map"
	case RootMaps:
		return "maps the kernel's addresses"
	}
	return "unknown"
}

// Root is what may be the root of an address space.
type Root struct {
	DTB  PA
	Mode *Mode
	Kind RootKind
}

// SelfMap is how the topmost table of Windows refers to itself, through which Windows
// reaches its page tables. A topmost table of less than a page (that of [PAE]) is not
// referred to; instead, the tables that it refers to are: taken as one table, one
// behind the other, their entries from First on refer to each of them in turn.
type SelfMap struct {
	First, Last int // the indices among which the entry is
	// Mask are the bits of the entry that are known: those of Value, and the
	// address of the table.
	Mask, Value Entry
}

const (
	rootWindow = 2 << 20 // bytes read at once
	// maxUnreadable bounds the pages that are tried one by one because the
	// window around them can't be read.
	maxUnreadable = 1 << 16
)

// FindRoots searches physical memory, in ascending order, for roots of address
// spaces of some modes, and hands each to visit until that returns false. The
// ranges are what mem holds, must are addresses that the kernel has mapped. A
// candidate is only that: visit must check what it maps. What has a self-map is
// offered in the order of modes, with each that has this one; any other page with
// those RootByMapping modes with which it maps every address of must.
//
// What can't be read is passed over, page by page. The error is ctx's.
func FindRoots(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, modes []*Mode, must []VA, visit func(Root) bool) error {
	return FindRootsAnd(ctx, mem, ranges, modes, must, visit, nil)
}

// FindRootsAnd is FindRoots that has a survey look at each page, too, until visit returns
// false: of memory that is read once for both. The ranges are then the survey's; a nil
// survey looks at nothing.
func FindRootsAnd(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, modes []*Mode, must []VA, visit func(Root) bool, survey *RootSurvey) error {
	s := rootSearch{mem: mem, groups: rootGroups(modes, must), must: must, visit: visit}
	return eachPage(ctx, mem, ranges, func(pa PA, page []byte) bool {
		survey.page(pa, page)
		return s.page(pa, page)
	})
}

// rootSearch looks at pages for FindRoots.
type rootSearch struct {
	mem    io.ReaderAt
	groups []rootGroup
	must   []VA
	visit  func(Root) bool
}

// rootGroup is modes in a row that share a self-map.
type rootGroup struct {
	modes   []rootMode
	size    int  // of a topmost table, as far as it is looked at
	mapping bool // some are known by what they map
	zeros   bool // for some, entries of zeros are not nothing
}

// rootMode has a walker of its own, so that modes that take turns do not each begin
// anew.
type rootMode struct {
	*Mode
	walker *walker
}

// rootGroups groups modes by their self-maps.
func rootGroups(modes []*Mode, must []VA) (list []rootGroup) {
	for _, m := range modes {
		n := len(list) - 1
		if n < 0 || !list[n].modes[0].sharesSelfMap(m) {
			list = append(list, rootGroup{size: min(m.rootSize(), pageSize)})
			n++
		}
		list[n].modes = append(list[n].modes, rootMode{Mode: m, walker: new(walker)})
		list[n].mapping = list[n].mapping || m.RootByMapping && len(must) > 0
		list[n].zeros = list[n].zeros || !m.zeroIsNothing()
	}
	return list
}

// zeroIsNothing reports whether an entry of zeros in the topmost table refers to nothing.
func (m *Mode) zeroIsNothing() bool {
	top := m.top()
	return !top.Table.has(0) && !top.Page.has(0) && (m.SelfMap == nil || m.SelfMap.Value != 0)
}

// isNone reports whether a page holds no root of any of some groups' modes, since there is
// nothing in it: that is seen faster than what each entry says, and of many pages.
func isNone(groups []rootGroup, page []byte) bool {
	return !slices.ContainsFunc(groups, func(g rootGroup) bool { return g.zeros }) && binio.IsZero(page)
}

func (m *Mode) sharesSelfMap(other *Mode) bool {
	return m.SelfMap != nil && m.SelfMap == other.SelfMap && m.rootSize() == other.rootSize()
}

// page looks at one page and tells whether to go on.
func (s *rootSearch) page(pa PA, page []byte) bool {
	if isNone(s.groups, page) {
		return true
	}
	for i := range s.groups {
		g := &s.groups[i]
		m := g.modes[0].Mode
		// There are many tables of less than a page, of which each entry counts.
		quick := g.size < pageSize && !g.mapping
		for off := 0; off < pageSize; off += g.size {
			table := page[off : off+g.size]
			if quick && !m.top().Table.valid(m.decode(table)) {
				continue
			}
			self := m.mapsSelf(s.mem, pa+PA(off), table)
			if (self || g.mapping) && !s.offer(g.modes, pa+PA(off), table, self) {
				return false
			}
		}
	}
	return true
}

// offer hands a table to visit if it may be a root, and tells whether to go on.
func (s *rootSearch) offer(modes []rootMode, pa PA, table []byte, self bool) bool {
	for _, m := range modes {
		kind := RootMaps
		switch {
		case m.Root(uint64(pa)) != pa:
			continue
		case self:
			kind = RootSelfMap
		case !m.RootByMapping || !s.mapsAll(m, pa, table):
			continue
		}
		if !s.visit(Root{DTB: pa, Mode: m.Mode, Kind: kind}) {
			return false
		}
	}
	return true
}

// mapsSelf reports whether the table at pa, as the topmost one, has the self-map.
func (m *Mode) mapsSelf(mem io.ReaderAt, pa PA, table []byte) bool {
	self := m.SelfMap
	switch {
	case self == nil:
		return false
	case len(table) < pageSize:
		return m.mapsParts(mem, table)
	}
	mask, want := self.Mask, Entry(pa)|self.Value
	end := min((self.Last+1)*m.EntrySize, pageSize)
	if table = table[min(self.First*m.EntrySize, end):end]; m.EntrySize == 8 {
		for ; len(table) >= 8; table = table[8:] {
			if Entry(binary.LittleEndian.Uint64(table))&mask == want {
				return true
			}
		}
		return false
	}
	for ; len(table) >= m.EntrySize; table = table[m.EntrySize:] {
		if m.decode(table)&mask == want {
			return true
		}
	}
	return false
}

// mapsParts reports whether top, of less than a page, refers to tables that have
// the self-map together.
func (m *Mode) mapsParts(mem io.ReaderAt, top []byte) bool {
	if !m.refersToParts(top) {
		return false
	}
	form := &m.top().Table
	inPart := 1 << m.Levels[len(m.Levels)-2].Bits
	part := form.address(m.decode(top[m.SelfMap.First/inPart*m.EntrySize:]))
	entries := make([]byte, len(top))
	if _, err := readFull(mem, entries, part+PA(m.SelfMap.First%inPart*m.EntrySize)); err != nil { //nolint:gosec // inside the table
		return false
	}
	for at := 0; at < len(top); at += m.EntrySize {
		refers := Entry(form.address(m.decode(top[at:])))
		if m.decode(entries[at:])&m.SelfMap.Mask != refers|m.SelfMap.Value {
			return false
		}
	}
	return true
}

// refersToParts reports whether each entry of top, of less than a page, refers to a
// table.
func (m *Mode) refersToParts(top []byte) bool {
	form := &m.top().Table
	for at := 0; at < len(top); at += m.EntrySize {
		if e := m.decode(top[at:]); !form.valid(e) || form.address(e) == 0 {
			return false
		}
	}
	return true
}

// leadsOn reports whether the entries of table, as a root, that map the addresses
// refer to pages, or to tables below end.
func (m *Mode) leadsOn(table []byte, must []VA, end PA) bool {
	top := m.top()
	shift, last := m.shift(len(m.Levels)), VA(1)<<top.Bits-1
	for _, va := range must {
		at := int(va>>shift&last) * m.EntrySize //nolint:gosec // an index
		if at >= len(table) {
			return false
		}
		e := m.decode(table[at:])
		if !top.Page.has(e) && (!top.Table.has(e) || top.Table.address(e) >= end) {
			return false
		}
	}
	return true
}

// mapsAll reports whether table, as a root, maps every address. Its own entries
// are looked at first, which settles nearly all pages.
func (s *rootSearch) mapsAll(m rootMode, pa PA, table []byte) bool {
	if !m.leadsOn(table, s.must, ^PA(0)) {
		return false
	}
	space := NewSpace(s.mem, uint64(pa), m.Mode)
	for _, va := range s.must {
		if _, err := m.walker.walk(space, va, nil); err != nil {
			return false
		}
	}
	return len(s.must) > 0
}

// buffers are those of pagers.
var buffers binio.Buffers

// eachPage hands the whole pages of the ranges to visit, ascending, until that
// returns false. Where a window can't be read, the pages of it are read one by one.
func eachPage(ctx context.Context, mem io.ReaderAt, ranges []physmem.Range, visit func(PA, []byte) bool) error {
	w := pager{mem: mem, buf: buffers.Get(0), tries: maxUnreadable}
	defer func() { buffers.Put(w.buf) }()
	for _, r := range ranges {
		w.single = 0
		for at := (r.Start + pageSize - 1) &^ (pageSize - 1); at < r.End() && r.End()-at >= pageSize; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			pages, next := w.read(at, r.End())
			for off := 0; off < len(pages); off += pageSize {
				if !visit(PA(at)+PA(off), pages[off:off+pageSize]) {
					return nil
				}
			}
			at = next
		}
	}
	return nil
}

// pager reads memory piece by piece.
type pager struct {
	mem io.ReaderAt
	buf []byte
	// single is up to where pages are read one by one, and tries how many of those that
	// can't be read are.
	single uint64
	tries  int
}

// read returns the whole pages from at on, as far as they can be read, and where to read
// on: behind them, or behind a page that can't be read.
func (w *pager) read(at, end uint64) (pages []byte, next uint64) {
	size := min(end-at, rootWindow) &^ (pageSize - 1)
	if at < w.single {
		size = pageSize
	}
	w.buf = slices.Grow(w.buf[:0], int(size))[:size]
	n, _ := w.mem.ReadAt(w.buf, int64(at)) //nolint:gosec // the caller's addresses are those of a ReaderAt
	whole := uint64(n) &^ (pageSize - 1)   //nolint:gosec // not negative
	next = at + size
	switch {
	case whole == size:
	case size == pageSize:
		w.tries--
	case w.tries > 0:
		w.single, next = next, at+whole
	}
	if w.tries <= 0 && next < w.single {
		next = w.single
	}
	return w.buf[:whole], next
}
