package vtop

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// MaxPiecesSize is the longest range in bytes that Pieces takes: more than any
// structure or image in a guest, and few enough page-table reads to end soon.
const MaxPiecesSize = 64 << 20

// Piece is a part of a virtual range that is contiguous in physical memory.
type Piece struct {
	PA   PA
	VA   VA
	Size uint64 // bytes
}

// ReadVirtual fills p from va on, page by page. It returns how many bytes it
// read before the error, which is a *FaultError about the next byte.
func (s *Space) ReadVirtual(p []byte, va VA) (int, error) {
	w := borrow()
	defer w.giveBack()
	return w.read(s, p, va)
}

// Uint16 reads a little-endian number. Errors are ReadVirtual's.
func (s *Space) Uint16(va VA) (uint16, error) {
	w := borrow()
	defer w.giveBack()
	if _, err := w.read(s, w.value[:2], va); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint16(w.value[:]), nil
}

// Uint32 reads a little-endian number. Errors are ReadVirtual's.
func (s *Space) Uint32(va VA) (uint32, error) {
	w := borrow()
	defer w.giveBack()
	if _, err := w.read(s, w.value[:4], va); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(w.value[:]), nil
}

// Uint64 reads a little-endian number. Errors are ReadVirtual's.
func (s *Space) Uint64(va VA) (uint64, error) {
	w := borrow()
	defer w.giveBack()
	if _, err := w.read(s, w.value[:8], va); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(w.value[:]), nil
}

// Pieces returns where the size bytes from va on lie in physical memory, in
// virtual order, physically adjacent pieces joined. Either all of the range is
// returned or an error: a *FaultError about the first byte that is not mapped,
// or a *RangeError above MaxPiecesSize. The pages are not read, so that they
// need not be in the file.
func (s *Space) Pieces(va VA, size uint64) ([]Piece, error) {
	if size > MaxPiecesSize {
		return nil, &RangeError{VA: va, Size: size, Max: MaxPiecesSize}
	}
	w := borrow()
	defer w.giveBack()
	var pieces []Piece
	for done := uint64(0); done < size; {
		m, err := w.at(s, va, done)
		if err != nil {
			return nil, err
		}
		n := min(size-done, m.rest())
		if last := len(pieces) - 1; last >= 0 && pieces[last].PA+PA(pieces[last].Size) == m.PA {
			pieces[last].Size += n
		} else {
			pieces = append(pieces, Piece{PA: m.PA, VA: m.VA, Size: n})
		}
		done += n
	}
	return pieces, nil
}

// Window returns the n bytes from va on as a file whose offset 0 is va. A space
// can't be a file as a whole, since a kernel address is no valid file offset: it
// is negative as an int64. Reads end with io.EOF at n and with ReadVirtual's
// errors before it.
func (s *Space) Window(va VA, n int64) io.ReaderAt {
	return window{space: s, start: va, size: n}
}

type window struct {
	space *Space
	start VA
	size  int64
}

var (
	errNegativeOffset = errors.New("negative offset")
	errPastTop        = errors.New("range goes past the highest address")
)

func (v window) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errNegativeOffset
	}
	if off >= v.size {
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > v.size-off {
		p, atEnd = p[:v.size-off], io.EOF
	}
	w := borrow()
	defer w.giveBack()
	n, err := w.readFrom(v.space, p, v.start, uint64(off))
	if err != nil {
		return n, err
	}
	return n, atEnd
}

func (w *walker) read(s *Space, p []byte, va VA) (int, error) {
	return w.readFrom(s, p, va, 0)
}

// readFrom reads from va+offset on.
func (w *walker) readFrom(s *Space, p []byte, va VA, offset uint64) (int, error) {
	for done := 0; done < len(p); {
		m, err := w.at(s, va, offset+uint64(done))
		if err != nil {
			return done, err
		}
		part := p[done:]
		if uint64(len(part)) > m.rest() {
			part = part[:m.rest()]
		}
		n, err := readFull(s.Mem, part, m.PA)
		done += n
		if err != nil {
			return done, m.unreadable(n, err)
		}
	}
	return len(p), nil
}

// at translates va+offset. A sum past the highest address does not come out at
// the lowest, as one range can't have parts in both halves of the space.
func (w *walker) at(s *Space, va VA, offset uint64) (Mapping, error) {
	if offset > math.MaxUint64-uint64(va) {
		return Mapping{}, &FaultError{VA: va + VA(offset), Kind: NonCanonical, Err: errPastTop}
	}
	return w.walk(s, va+VA(offset), nil)
}

// rest is how many bytes there are from VA to the end of the page.
func (m Mapping) rest() uint64 {
	return m.PageSize - uint64(m.VA)&(m.PageSize-1)
}

func (m Mapping) unreadable(n int, err error) *FaultError {
	return &FaultError{
		VA:      m.VA + VA(n), //nolint:gosec // n is not negative
		Kind:    PageUnreadable,
		Level:   m.Level,
		EntryPA: m.EntryPA,
		Entry:   m.Entry,
		PA:      m.PA + PA(n), //nolint:gosec // n is not negative
		Err:     err,
	}
}
