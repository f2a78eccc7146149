package vtop

import "io"

// walk translates va, and appends the entries on its way to steps unless that is nil.
func (w *walker) walk(s *Space, va VA, steps *[]Step) (Mapping, error) {
	if !s.Mode.Canonical(va) {
		return Mapping{}, &FaultError{VA: va, Kind: NonCanonical}
	}
	t := &w.tables
	err := t.start(s, va, va)
	for ; err == nil && t.next(); err = t.enter() {
		if steps != nil {
			*steps = append(*steps, t.step)
		}
		switch t.refers {
		case toPage, toTransition:
			return t.mapping(va), nil
		case toNothing:
			return Mapping{}, t.step.fault(va, t.fault, nil)
		case toTable:
		}
	}
	return Mapping{}, t.step.fault(va, TableUnreadable, err)
}

// mapping is where the entry leads va that was found last, which maps a page.
func (t *tables) mapping(va VA) Mapping {
	return Mapping{
		VA:         va,
		PA:         t.pa | PA(va)&(1<<t.shift-1),
		PageSize:   1 << t.shift,
		Entry:      t.step.Entry,
		EntryPA:    t.step.EntryPA,
		Level:      t.step.Level,
		Transition: t.refers == toTransition,
	}
}

func (st Step) fault(va VA, kind FaultKind, err error) *FaultError {
	return &FaultError{VA: va, Kind: kind, Level: st.Level, EntryPA: st.EntryPA, Entry: st.Entry, Err: err}
}

// readFull reads len(p) bytes or says why not. An io.ReaderAt may return io.EOF
// along with the last byte, which is no error here.
func readFull(mem io.ReaderAt, p []byte, pa PA) (int, error) {
	n, err := mem.ReadAt(p, int64(pa)) //nolint:gosec // a PA has at most 52 bits
	if n == len(p) {
		return n, nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
