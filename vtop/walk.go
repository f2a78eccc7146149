package vtop

import "io"

// walk ends after at most Levels entries, whatever the tables hold: each round
// goes one level down, so that tables that refer to each other, or to
// themselves as Windows' topmost one does, are no danger.
func (w *walker) walk(s *Space, va VA) (Mapping, error) {
	w.count = 0
	if !s.Canonical(va) {
		return Mapping{}, &FaultError{VA: va, Kind: NonCanonical}
	}
	f := s.paging()
	table := s.DTB & f.rootMask
	for level := f.levels; ; level-- {
		shift := f.shift(level)
		index := PA(va>>shift) & f.lastIndex
		step := Step{Level: level, EntryPA: table + index*f.entrySize}
		if _, err := readFull(s.Mem, w.entry[:f.entrySize], step.EntryPA); err != nil {
			return Mapping{}, step.fault(va, TableUnreadable, err)
		}
		step.Entry = f.decode(w.entry[:])
		w.steps[w.count] = step
		w.count++

		switch e := step.Entry; {
		case e.Present() && e&f.reserved[level] != 0:
			return Mapping{}, step.fault(va, Malformed, nil)
		case level == 1 && (e.Present() || e.Transition()):
			return step.page(va, e.Address(), 1<<shift), nil
		case !e.Present():
			return Mapping{}, step.fault(va, f.kind(e), nil)
		case e.Large():
			if !f.mapsLarge(e, level) {
				return Mapping{}, step.fault(va, Malformed, nil)
			}
			return step.page(va, f.largeAddress(e, level), 1<<shift), nil
		}
		table = step.Entry.Address()
	}
}

func (st Step) page(va VA, page PA, size uint64) Mapping {
	return Mapping{
		VA:         va,
		PA:         page | PA(va)&PA(size-1),
		PageSize:   size,
		Entry:      st.Entry,
		EntryPA:    st.EntryPA,
		Level:      st.Level,
		Transition: !st.Entry.Present(),
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
