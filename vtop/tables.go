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
	mem         io.ReaderAt
	mode        *Mode
	first, last VA      // the range
	open        []table // those with more entries than one to look at, the topmost first
	in          int     // how many of open are in use, the others are kept for reuse
	left        int     // how many entries may still be looked at
	only        bool    // step is the only one to look at in its table, and is next
	word        [8]byte

	// What next found.
	step Step
	va   VA // the first that the entry maps
	refers
	pa    PA        // of the table or the page
	shift uint      // the logarithm of what the entry maps, in bytes
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
	number  int // of its level
	top     bool
	shift   uint   // the logarithm of what an entry maps, in bytes
	entries []byte // those that map the range
	offset  int    // in entries, of the next one
	at      PA     // of entries
	va      VA     // what the next one maps
}

// start begins at a space's topmost table, for the addresses from first to last,
// which must be canonical.
func (t *tables) start(s *Space, first, last VA) error {
	t.mem, t.mode, t.in, t.only, t.left = s.Mem, s.Mode, 0, false, math.MaxInt
	t.first, t.last = first, last
	level := len(s.Mode.Levels)
	t.pa, t.va, t.step.Level, t.shift = s.DTB, 0, level, s.Mode.shift(level)
	return t.push(first, last)
}

// enter goes into the table to which the entry refers that was found last.
func (t *tables) enter() error {
	first, last := max(t.first, t.va), min(t.last, t.va|(1<<t.shift-1))
	t.step.Level--
	t.shift -= uint(t.mode.Levels[t.step.Level-1].Bits)
	return t.push(first, last)
}

// push reads the entries of the table at t.pa that map the addresses from first to
// last.
func (t *tables) push(first, last VA) error {
	size := uint(t.mode.EntrySize)
	mask := uint(1)<<uint(t.mode.Levels[t.step.Level-1].Bits) - 1
	index, end := uint(first>>t.shift)&mask, uint(last>>t.shift)&mask
	t.step.EntryPA, t.step.Entry = t.pa+PA(index*size), 0
	first &^= 1<<t.shift - 1
	if index == end {
		if _, err := readFull(t.mem, t.word[:size], t.step.EntryPA); err != nil {
			return err
		}
		t.step.Entry = t.mode.decode(t.word[:])
		t.va, t.only = first, true
		return nil
	}
	return t.pushMany(end-index+1, first)
}

// pushMany reads count entries from t.step.EntryPA on, the first of which maps va.
func (t *tables) pushMany(count uint, va VA) error {
	if t.in == len(t.open) {
		t.open = append(t.open, table{})
	}
	n := &t.open[t.in]
	n.number, n.top, n.shift = t.step.Level, t.step.Level == len(t.mode.Levels), t.shift
	n.offset, n.at, n.va = 0, t.step.EntryPA, va
	if size := int(count) * t.mode.EntrySize; size <= cap(n.entries) {
		n.entries = n.entries[:size]
	} else {
		n.entries = make([]byte, size)
	}
	if _, err := readFull(t.mem, n.entries, n.at); err != nil {
		return err
	}
	t.in++
	return nil
}

// next finds the next entry, and reports whether there was one.
func (t *tables) next() bool {
	if t.left == 0 {
		return false
	}
	if !t.only {
		if t.ended() {
			return false
		}
		n, size := &t.open[t.in-1], t.mode.EntrySize
		t.step.Level, t.step.EntryPA = n.number, n.at+PA(n.offset) //nolint:gosec // inside the table
		t.step.Entry = t.mode.decode(n.entries[n.offset:])
		t.va, t.shift = n.va, n.shift
		n.offset += size
		n.va += 1 << n.shift
		if n.top { // which passes over the addresses that are not canonical
			n.va = t.mode.extend(n.va)
		}
	}
	t.only = false
	t.left--
	t.judge()
	return true
}

// ended reports whether there is no further entry, and leaves the tables that have
// none.
func (t *tables) ended() bool {
	for t.in > 0 && t.open[t.in-1].offset == len(t.open[t.in-1].entries) {
		t.in--
	}
	return t.in == 0
}

// judge says what the entry means.
func (t *tables) judge() {
	e, m, l := t.step.Entry, t.mode, &t.mode.Levels[t.step.Level-1]
	switch {
	case l.Table.valid(e):
		t.refers, t.pa = toTable, l.Table.address(e)
	case l.Page.valid(e):
		t.refers, t.pa = toPage, l.Page.address(e)
	case m.present(e):
		t.refers, t.fault = toNothing, Malformed
	case t.step.Level == 1 && m.Absent.Transition.has(e):
		t.refers, t.pa = toTransition, m.Absent.Transition.address(e)
	default:
		t.refers, t.fault = toNothing, m.absent(e)
	}
}
