package vtop

import (
	"encoding/binary"
	"io"
)

// walk ends after at most Levels entries, whatever the tables hold: each round
// goes one level down, so that tables that refer to each other, or to
// themselves as Windows' topmost one does, are no danger.
func (w *walker) walk(s *Space, va VA) (Mapping, error) {
	w.count = 0
	if !s.Canonical(va) {
		return Mapping{}, &FaultError{VA: va, Kind: NonCanonical}
	}
	table := Entry(s.DTB).Address()
	for level := s.levels(); ; level-- {
		shift := pageShift + indexBits*(level-1)
		index := PA(va>>shift) & (1<<indexBits - 1)
		step := Step{Level: level, EntryPA: table + index*entrySize}
		if _, err := readFull(s.Mem, w.entry[:], step.EntryPA); err != nil {
			return Mapping{}, step.fault(va, TableUnreadable, err)
		}
		step.Entry = Entry(binary.LittleEndian.Uint64(w.entry[:]))
		w.steps[w.count] = step
		w.count++

		switch {
		case level == 1 && (step.Entry.Present() || step.Entry.Transition()):
			return step.page(va, 1<<shift), nil
		case !step.Entry.Present():
			return Mapping{}, step.fault(va, step.Entry.kind(), nil)
		case step.Entry.Large():
			if level > maxLeaf || step.Entry.reservedBits(1<<shift) {
				return Mapping{}, step.fault(va, Malformed, nil)
			}
			return step.page(va, 1<<shift), nil
		}
		table = step.Entry.Address()
	}
}

// reservedBits reports whether one of the address bits below the size of a
// large page is set, other than PAT: bits 13-20 of a 2 MiB page's entry, 13-29
// of a 1 GiB page's.
func (e Entry) reservedBits(pageSize uint64) bool {
	return e&entryAddress&Entry(pageSize-1)&^entryPAT != 0
}

func (st Step) page(va VA, size uint64) Mapping {
	offset := PA(size - 1)
	return Mapping{
		VA:         va,
		PA:         st.Entry.Address()&^offset | PA(va)&offset,
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
