package vtop

import (
	"errors"
	"io"
)

// walk translates va, and appends the entries on its way to steps unless that is nil.
func (w *walker) walk(s *Space, va VA, steps *[]Step) (Mapping, error) {
	t := &w.tables
	t.use(s)
	if t.extend(va) != va {
		return Mapping{}, &FaultError{VA: va, Kind: NonCanonical}
	}
	if s.Mode.flat() {
		return Mapping{VA: va, PA: s.Mode.Flat(va), PageSize: pageSize}, nil
	}
	pa, known := s.rootOf(va)
	if !known {
		return Mapping{}, &FaultError{VA: va, Kind: TableUnreadable, Err: errNoRoot}
	}
	size := t.size
	for level := len(t.levels); ; level-- {
		n := &t.levels[level-1]
		at := pa + PA(n.index(va)*size) //nolint:gosec // inside the table
		e, err := t.load(s.Mem, at)
		st := Step{Level: level, EntryPA: at, Entry: e}
		if err != nil {
			return Mapping{}, st.fault(va, TableUnreadable, err)
		}
		if steps != nil {
			*steps = append(*steps, st)
		}
		to := n.usual.to
		if pa = PA(e & n.usual.address); !n.usual.is(e) {
			to, pa = s.judge(n, e)
		}
		switch to {
		case toTable:
		case toPage, toTransition:
			return st.mapping(va, pa, n.shift, to), nil
		case toNothing:
			return Mapping{}, st.fault(va, s.fault(e), nil)
		}
	}
}

var errNoRoot = errors.New("the root of the lower half of the addresses is not known")

// mapping is where an entry leads va, which maps the page at pa.
func (st Step) mapping(va VA, pa PA, shift uint, r refers) Mapping {
	size := uint64(1) << (shift & 63)
	return Mapping{
		VA:         va,
		PA:         pa | PA(va)&PA(size-1),
		PageSize:   size,
		Entry:      st.Entry,
		EntryPA:    st.EntryPA,
		Level:      st.Level,
		Transition: r == toTransition,
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
	return n, short(err)
}

// short is why a read gave less than was asked for.
func short(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
