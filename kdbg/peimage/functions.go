package peimage

import (
	"encoding/binary"
	"fmt"

	"windmp/vtop"
)

const (
	// FunctionSize is the size of RUNTIME_FUNCTION of x64, bytes (Microsoft, "x64
	// exception handling").
	FunctionSize = 12
	// together is how many entries of the exception directory are read at once where
	// the search has come down to so many: what fits into a page.
	together = pageSize / FunctionSize
)

// Function is an entry of an x64 image's exception directory: RUNTIME_FUNCTION. All are
// RVAs.
type Function struct {
	Begin, End uint32
	// Unwind is where UNWIND_INFO lies; with its lowest bit set, where another
	// RUNTIME_FUNCTION does.
	Unwind uint32
}

// Functions is the exception directory of an image of x64: functions with unwind data,
// ascending.
type Functions struct {
	// Base and Size (bytes) are the image's.
	Base vtop.VA
	Size uint32
	// At is where the directory begins, Length its size in bytes.
	At     vtop.VA
	Length uint32
}

// FunctionTable is the exception directory; [ErrNoSuchPart] for an image that has none.
func (h *Headers) FunctionTable() (Functions, error) {
	if h.Functions.Size < FunctionSize {
		return Functions{}, fmt.Errorf("exception directory: %w", ErrNoSuchPart)
	}
	return Functions{Base: h.Base, Size: h.Size, At: h.Base + vtop.VA(h.Functions.RVA), Length: h.Functions.Size}, nil
}

// Find returns the function in which an RVA lies and the address of its entry; the
// address is 0 for an RVA that is in none. It reads as many entries as halving the
// directory takes. The error is an [Error] about the entry that can't be one, or wraps
// the *vtop.FaultError where one is not readable.
func (t *Functions) Find(s *vtop.Space, rva uint32) (Function, vtop.VA, error) {
	var read []byte // the entries from first on
	first := uint32(0)
	zeros := false
	low, high := uint32(0), t.Length/FunctionSize
	for low < high {
		if read == nil && high-low <= together {
			read, first = t.entries(s, low, high), low
		}
		mid := low + (high-low)/2
		f, err := t.entry(s, mid, read, first)
		switch {
		case err != nil:
			return Function{}, 0, err
		case f == Function{}: // what linkers pad the end with
			high, zeros = mid, true
		case f.Begin >= f.End || f.End > t.Size || f.Unwind >= t.Size:
			return Function{}, 0, t.malformed(mid, f)
		case rva < f.Begin:
			high = mid
		case rva >= f.End:
			low = mid + 1
		default:
			return f, t.address(mid), nil
		}
	}
	if zeros && low == 0 {
		return Function{}, 0, t.malformed(0, Function{}) // the directory has been wiped
	}
	return Function{}, 0, nil
}

// ReadFunction reads an entry that lies anywhere in the image. Errors are those of
// [Functions.Find].
func (t *Functions) ReadFunction(s *vtop.Space, rva uint32) (Function, error) {
	if rva > t.Size || t.Size-rva < FunctionSize {
		return Function{}, &Error{Base: t.Base, Field: "RVA of a function entry", Got: uint64(rva), Want: "one in the image"}
	}
	var b [FunctionSize]byte
	if _, err := s.ReadVirtual(b[:], t.Base+vtop.VA(rva)); err != nil {
		return Function{}, fmt.Errorf("function entry: %w", err)
	}
	f := DecodeFunction(b[:])
	if f.Begin >= f.End || f.End > t.Size || f.Unwind >= t.Size {
		return Function{}, &Error{Base: t.Base, Field: "function entry", Got: uint64(f.Begin), Want: "an ascending range in the image"}
	}
	return f, nil
}

func (t *Functions) address(i uint32) vtop.VA { return t.At + FunctionSize*vtop.VA(i) }

// entries reads some entries at once; nil if not all of them are readable.
func (t *Functions) entries(s *vtop.Space, low, high uint32) []byte {
	b := make([]byte, FunctionSize*(high-low))
	if _, err := s.ReadVirtual(b, t.address(low)); err != nil {
		return nil
	}
	return b
}

// entry is entry i, out of read if that is not nil.
func (t *Functions) entry(s *vtop.Space, i uint32, read []byte, first uint32) (Function, error) {
	if read != nil {
		return DecodeFunction(read[FunctionSize*(i-first):]), nil
	}
	var b [FunctionSize]byte
	if _, err := s.ReadVirtual(b[:], t.address(i)); err != nil {
		return Function{}, fmt.Errorf("exception directory: %w", err)
	}
	return DecodeFunction(b[:]), nil
}

func (t *Functions) malformed(i uint32, f Function) error {
	return &Error{Base: t.Base, Field: fmt.Sprintf("exception directory, entry %d", i), Got: uint64(f.Begin), Want: "an ascending range in the image"}
}

// DecodeFunction decodes the first [FunctionSize] bytes of b.
func DecodeFunction(b []byte) Function {
	le := binary.LittleEndian
	return Function{Begin: le.Uint32(b), End: le.Uint32(b[4:]), Unwind: le.Uint32(b[8:])}
}
