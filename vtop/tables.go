package vtop

import (
	"io"
	"math"
)

// tables goes through the page tables that map a range of addresses, entry by
// entry, depth first and so in the order of addresses. All that translates or
// enumerates stands on it.
//
// It ends after one entry a level on each way, whatever the tables hold: each table
// that is entered is one level further down, so that tables that refer to each
// other, or to themselves as Windows' topmost one does, are no danger.
type tables struct {
	mem  io.ReaderAt
	mode *Mode
	open []table // that the traversal is in, the topmost first; more are kept for reuse
	in   int     // how many are open
	left int     // how many entries may still be looked at
	bits int     // of an address that are translated

	// What next found.
	step Step
	va   VA // the first that the entry maps
	refers
	pa    PA        // of the table or the page
	size  uint64    // of the page
	fault FaultKind // why the entry refers to nothing
}

// refers is what an entry leads to.
type refers int

const (
	toNothing refers = iota
	toTable
	toPage
	toTransition // a page that is in transition
)

// table is a page table on the way.
type table struct {
	level       *Level
	number      int // of the level
	pa          PA
	base        VA  // the first that it maps
	shift       int // the logarithm of what an entry maps
	first, last VA  // the part of the range that it maps
	index, end  int // of the entries to look at
	at          int // the index of the first entry that was read
	buf         []byte
	entries     []byte
}

// start begins at a space's topmost table, for the addresses from first to last,
// which must be canonical.
func (t *tables) start(s *Space, first, last VA) error {
	t.mem, t.mode, t.in, t.left, t.bits = s.Mem, s.Mode, 0, math.MaxInt, s.Mode.AddressBits()
	return t.push(s.DTB, len(s.Mode.Levels), t.bits-s.Mode.top().Bits, 0, first, last)
}

// enter goes into the table to which the entry refers that was found last.
func (t *tables) enter() error {
	from := &t.open[t.in-1]
	shift := from.shift - t.mode.Levels[from.number-2].Bits
	return t.push(t.pa, from.number-1, shift, t.va, max(from.first, t.va), min(from.last, t.va|(1<<from.shift-1)))
}

// push reads those entries of a table that map the range.
func (t *tables) push(pa PA, number, shift int, base, first, last VA) error {
	if t.in == len(t.open) {
		t.open = append(t.open, table{})
	}
	n := &t.open[t.in]
	n.level, n.number, n.pa, n.base, n.shift, n.first, n.last = &t.mode.Levels[number-1], number, pa, base, shift, first, last
	mask := VA(1)<<n.level.Bits - 1
	n.at, n.end = int(first>>shift&mask), int(last>>shift&mask)+1 //nolint:gosec // at most an index
	n.index = n.at
	size := (n.end - n.at) * t.mode.EntrySize
	if size > len(n.buf) {
		n.buf = make([]byte, max(size, 8))
	}
	n.entries = n.buf[:size]
	if _, err := readFull(t.mem, n.entries, t.entryPA(n)); err != nil {
		t.step = Step{Level: number, EntryPA: t.entryPA(n)}
		return err
	}
	t.in++
	return nil
}

func (t *tables) entryPA(n *table) PA {
	return n.pa + PA(n.index*t.mode.EntrySize) //nolint:gosec // an index
}

// next finds the next entry, and reports whether there was one.
func (t *tables) next() bool {
	for ; t.in > 0; t.in-- {
		n := &t.open[t.in-1]
		if n.index == n.end {
			continue
		}
		if t.left == 0 {
			return false
		}
		t.left--
		e := t.mode.decode(n.entries[(n.index-n.at)*t.mode.EntrySize:])
		t.step = Step{Level: n.number, EntryPA: t.entryPA(n), Entry: e}
		t.va = t.mode.extend(n.base|VA(n.index)<<n.shift, t.bits) //nolint:gosec // an index
		n.index++
		t.judge(n, e)
		return true
	}
	return false
}

// judge says what an entry means.
func (t *tables) judge(n *table, e Entry) {
	t.fault = 0
	var form *Form
	switch m := t.mode; {
	case n.level.Table.has(e):
		t.refers, form = toTable, &n.level.Table
	case n.level.Page.has(e):
		t.refers, form = toPage, &n.level.Page
	case m.present(e):
		t.refers, t.fault = toNothing, Malformed
		return
	case n.number == 1 && m.Absent.Transition.has(e):
		t.refers, form = toTransition, &m.Absent.Transition
	default:
		t.refers, t.fault = toNothing, m.absent(e)
		return
	}
	if e&form.Reserved != 0 {
		t.refers, t.fault = toNothing, Malformed
		return
	}
	t.pa, t.size = form.address(e), 1<<n.shift
}
