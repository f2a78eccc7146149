package vtop

import "io"

// tables reads page tables, of any mode: along the way of one address, or all that
// map a range. All that translates or enumerates stands on it.
//
// It ends after one entry a level on each way, whatever the tables hold: each table
// that is entered is one level further down, so that tables that refer to each
// other, or to themselves as Windows' topmost one does, are no danger.
type tables struct {
	mem    io.ReaderAt
	mode   *Mode
	unused uint    // bits of an address that the mode does not translate
	levels []table // of the mode, the page table first
	word   [8]byte
	left   int // how many entries may still be looked at
}

// table is the page table of a level that is being looked at.
type table struct {
	*Level
	level   int
	shift   uint   // the logarithm of what an entry maps, in bytes
	mask    int    // of an index
	entries []byte // those that map the range
	at      PA     // of entries
	va      VA     // what the first of entries maps
}

// refers is what an entry leads to.
type refers int

const (
	toNothing refers = iota
	toTable
	toPage
	toTransition // a page that is in transition
)

// use begins with the tables of a space. What is computed of its mode is kept, as
// most walkers only ever see one.
func (t *tables) use(s *Space) {
	t.mem = s.Mem
	if t.mode == s.Mode {
		return
	}
	t.mode = s.Mode
	t.unused = uint(64 - t.mode.AddressBits())
	t.levels = make([]table, len(t.mode.Levels))
	for i := range t.levels {
		t.levels[i] = table{Level: &t.mode.Levels[i], level: i + 1, shift: t.mode.shift(i + 1), mask: 1<<t.mode.Levels[i].Bits - 1}
	}
}

// extend is that of the mode.
func (t *tables) extend(va VA) VA {
	if t.mode.SignExtended {
		return VA(int64(va) << (t.unused & 63) >> (t.unused & 63)) //nolint:gosec // sign extension is the point
	}
	return va << (t.unused & 63) >> (t.unused & 63)
}

// step reads the entry that maps va in the table at pa. With an error it is zero.
func (t *tables) step(n *table, pa PA, va VA) (Step, error) {
	size := t.mode.EntrySize
	st := Step{Level: n.level, EntryPA: pa + PA(n.index(va)*size)} //nolint:gosec // inside the table
	_, err := readFull(t.mem, t.word[:size], st.EntryPA)
	if err == nil {
		st.Entry = t.mode.decode(t.word[:])
	}
	return st, err
}

func (n *table) index(va VA) int { return int(va>>(n.shift&63)) & n.mask } //nolint:gosec // masked

// visit says what to do with an entry, which refers to a table or a page at pa: it
// is the ith of those that n holds.
type visit func(n *table, i int, e Entry, r refers, pa PA) action

// action is what follows an entry.
type action int

const (
	pass  action = iota // the next entry
	enter               // the table to which it refers, which it must
	stop
)

// each goes through the entries of the table at pa that map the addresses from
// first to last, which must be canonical, depth first and so in the order of
// addresses, and calls found for each that refers to something, unreadable for each
// table that can't be read. It reports whether all were looked at.
func (t *tables) each(level int, pa PA, first, last VA, found visit, unreadable func(pa PA, level int, err error)) bool {
	n := &t.levels[level-1]
	if err := t.read(n, pa, first, last); err != nil {
		unreadable(pa, level, err)
		return true
	}
	m, size, entries := t.mode, t.mode.EntrySize, n.entries
	for i := 0; len(entries) >= size; i++ {
		if t.left--; t.left < 0 {
			return false
		}
		e := m.decode(entries)
		entries = entries[size:]
		if e == 0 { // as most entries of most tables are
			continue
		}
		r, pa := m.judge(n, e)
		if r == toNothing {
			continue
		}
		switch found(n, i, e, r, pa) {
		case pass:
		case enter:
			va := t.address(n, i)
			if !t.each(level-1, pa, max(first, va), min(last, va|(1<<n.shift-1)), found, unreadable) {
				return false
			}
		case stop:
			return false
		}
	}
	return true
}

// read makes n the entries of the table at pa that map the addresses from first to
// last.
func (t *tables) read(n *table, pa PA, first, last VA) error {
	index, size := n.index(first), t.mode.EntrySize
	length := (n.index(last) - index + 1) * size
	if length > cap(n.entries) {
		n.entries = make([]byte, length)
	}
	n.entries = n.entries[:length]
	n.at, n.va = pa+PA(index*size), first&^(1<<n.shift-1) //nolint:gosec // inside the table
	_, err := readFull(t.mem, n.entries, n.at)
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
func (m *Mode) judge(n *table, e Entry) (refers, PA) {
	switch l := n.Level; {
	case !m.present(e):
		if n.level == 1 && m.Absent.Transition.has(e) {
			return toTransition, m.Absent.Transition.address(e)
		}
	case l.Page.valid(e): // most entries are
		return toPage, l.Page.address(e)
	case l.Table.valid(e):
		return toTable, l.Table.address(e)
	}
	return toNothing, 0
}

// fault is why an entry refers to nothing.
func (m *Mode) fault(e Entry) FaultKind {
	if m.present(e) {
		return Malformed
	}
	return m.absent(e)
}
