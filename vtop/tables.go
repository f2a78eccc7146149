package vtop

import (
	"encoding/binary"
	"io"
)

// tables reads page tables, of any mode: along the way of one address, or all that
// map a range. All that translates or enumerates stands on it.
//
// It ends after one entry a level on each way, whatever the tables hold: each table
// that is entered is one level further down, so that tables that refer to each
// other, or to themselves as Windows' topmost one does, are no danger.
type tables struct {
	mode   *Mode
	size   int     // of an entry, in bytes
	unused uint    // bits of an address that the mode does not translate
	levels []table // of the mode, the page table first
	// word is an entry that was read. What lies behind an entry of 4 bytes stays
	// zero.
	word  [8]byte
	pages [64]page
	left  int // how many entries may still be looked at
}

// table is the page table of a level that is being looked at.
type table struct {
	usual usual
	shift uint // the logarithm of what an entry maps, in bytes
	mask  int  // of an index
	level int
	*Level
	entries []byte // those that map the range
	at      PA     // of entries
	va      VA     // what the first of entries maps
}

// usual is the form of most entries of a level, in one comparison: in a page table,
// the one that maps a page; in all others, the one that refers to a table. It says
// nothing that the level's forms do not.
type usual struct {
	mask, value, address Entry
	to                   refers
}

// page is an entry that maps a page at pa: the ith of those that its table holds.
type page struct {
	entry Entry
	pa    PA
	i     int32
	to    refers
}

// refers is what an entry leads to.
type refers int32

const (
	toNothing refers = iota
	toTable
	toPage
	toTransition // a page that is in transition
)

// use begins with the tables of a space. What is computed of its mode is kept, as
// most walkers only ever see one.
func (t *tables) use(s *Space) {
	if t.mode != s.Mode {
		t.prepare(s.Mode)
	}
}

func (t *tables) prepare(m *Mode) {
	t.mode, t.size = m, m.EntrySize
	t.unused = uint(64 - m.AddressBits())
	t.word = [8]byte{}
	t.levels = make([]table, len(m.Levels))
	for i := range t.levels {
		l := &m.Levels[i]
		t.levels[i] = table{Level: l, usual: m.usual(i), level: i + 1, shift: m.shift(i + 1), mask: 1<<l.Bits - 1}
	}
}

// usual is what most entries of a level are, which is Levels[i].
func (m *Mode) usual(i int) usual {
	f, to := &m.Levels[i].Table, toTable
	if i == 0 {
		f, to = &m.Levels[i].Page, toPage
	}
	if f.Mask == 0 || f.Mask&m.Present&^f.Value != 0 || f.High != 0 {
		return usual{value: 1} // which no entry is
	}
	return usual{mask: f.Mask | f.Reserved | m.Present, value: f.Value | m.Present, address: f.Address, to: to}
}

// extend is that of the mode.
func (t *tables) extend(va VA) VA {
	if t.mode.SignExtended {
		return VA(int64(va) << (t.unused & 63) >> (t.unused & 63)) //nolint:gosec // sign extension is the point
	}
	return va << (t.unused & 63) >> (t.unused & 63)
}

// load reads the entry at pa.
func (t *tables) load(mem io.ReaderAt, pa PA) (Entry, error) {
	b := t.word[:t.size]
	if n, err := mem.ReadAt(b, int64(pa)); n != len(b) { //nolint:gosec // a PA has at most 52 bits
		return 0, short(err)
	}
	return Entry(binary.LittleEndian.Uint64(t.word[:])), nil
}

func (n *table) index(va VA) int { return int(va>>(n.shift&63)) & n.mask } //nolint:gosec // masked

// is reports whether an entry is of the form.
func (u *usual) is(e Entry) bool { return e&u.mask == u.value }

// each goes through the entries of the table at pa that map the addresses from
// first to last, which must be canonical, depth first and so in the order of
// addresses, and tells v of each that refers to something. Where pages is not nil, it
// is told of the pages instead: of several entries of n at once, in order, and reports
// whether to go on. It reports whether all were looked at.
func (t *tables) each(s *Space, level int, pa PA, first, last VA, v Visitor, pages func(n *table, list []page) bool) bool {
	n := &t.levels[level-1]
	if err := t.read(s.Mem, n, pa, first, last); err != nil {
		v.Unreadable(pa, level, err)
		return true
	}
	size, entries, usual, found, left := t.size, n.entries, n.usual, 0, t.left
	for i := 0; len(entries) >= size; i++ {
		if left--; left < 0 {
			if found > 0 {
				pages(n, t.pages[:found])
			}
			return false
		}
		e := decode(entries, size)
		entries = entries[size:]
		if e == 0 { // as most entries of most tables are
			continue
		}
		to, pa := usual.to, PA(e&usual.address)
		if !usual.is(e) {
			to, pa = s.judge(n, e)
		}
		if to == toNothing {
			continue
		}
		if to != toTable && pages == nil {
			v.Page(pa, 1<<(n.shift&63))
			continue
		}
		if to != toTable {
			t.pages[found] = page{entry: e, pa: pa, i: int32(i), to: to}
			if found++; found < len(t.pages) {
				continue
			}
		}
		if found > 0 && !pages(n, t.pages[:found]) {
			return false
		}
		found = 0
		if to != toTable || !v.Table(pa, level-1) {
			continue
		}
		va := t.address(n, i)
		t.left = left
		if !t.each(s, level-1, pa, max(first, va), min(last, va|(1<<n.shift-1)), v, pages) {
			return false
		}
		left = t.left
	}
	t.left = left
	return found == 0 || pages(n, t.pages[:found])
}

// read makes n the entries of the table at pa that map the addresses from first to
// last.
func (t *tables) read(mem io.ReaderAt, n *table, pa PA, first, last VA) error {
	index, size := n.index(first), t.mode.EntrySize
	length := (n.index(last) - index + 1) * size
	if length > cap(n.entries) {
		n.entries = make([]byte, length)
	}
	n.entries = n.entries[:length]
	n.at, n.va = pa+PA(index*size), first&^(1<<n.shift-1) //nolint:gosec // inside the table
	_, err := readFull(mem, n.entries, n.at)
	return err
}

// address is the first that the ith entry of n maps. The topmost table passes over
// those that are not canonical.
func (t *tables) address(n *table, i int) VA {
	va := n.va + VA(i)<<n.shift //nolint:gosec // an index
	if n.level == len(t.levels) {
		return t.extend(va)
	}
	return va
}

// judge says what an entry of n refers to.
func (s *Space) judge(n *table, e Entry) (refers, PA) {
	m := s.Mode
	switch l := n.Level; {
	case !m.present(e):
		form := &m.Absent.Transition
		if e = s.Swizzle.undo(e); n.level == 1 && form.has(e) {
			return toTransition, form.address(e)
		}
	case l.Page.valid(e):
		return toPage, l.Page.address(e)
	case l.Table.valid(e):
		return toTable, l.Table.address(e)
	}
	return toNothing, 0
}

// fault is why an entry refers to nothing.
func (s *Space) fault(e Entry) FaultKind {
	if s.Mode.present(e) {
		return Malformed
	}
	return s.Mode.absent(s.Swizzle.undo(e))
}
