package winhdr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"windmp/winhdr/fields"
	"windmp/winhdr/wincontext"
)

// Format is the dump header of one machine with its CONTEXT: all that differs
// from machine to machine. X64, X86 and ARM64 are those of Windows; another one is made
// by filling in the fields, see Validate. A Format is not changed once in use.
type Format struct {
	// Name is the machine's as reports have it, Title the same in words.
	Name, Title string
	// Qualifier tells the machine's Windows from that which people expect, such as
	// "32-bit"; empty where there is nothing to tell.
	Qualifier string

	// Machine is MachineImageType, ValidDump the second signature.
	Machine, ValidDump uint32
	// Header is the header as the file has it. Its fields are found by name, those
	// of [Header] and these: NumberOfRuns, NumberOfPages and the array Run, of
	// BasePage and PageCount; Context, as many bytes as are reserved for it;
	// Exception, with ExceptionCode, ExceptionFlags and ExceptionAddress. What
	// the header does not have reads as 0 and is not written.
	Header *fields.Structure
	// LeastSize is how many bytes of the header have every field with a meaning:
	// what follows is reserved.
	LeastSize int
	// Padding names the fields that only fill room, see [Header.ClearAlignment].
	Padding []string
	// SummarySize is the size of SUMMARY_DUMP, see [SummaryDump64].
	SummarySize int
	// Triage are the records of triage dumps; nil if none are known.
	Triage *TriageFormat

	// MaxProcessors is the greatest NumberProcessors that can be, MinBuild the
	// least build number.
	MaxProcessors int
	MinBuild      uint32
	// PFNLimit is the first page frame number that can't be, PFNReason why.
	PFNLimit  uint64
	PFNReason string
	// PointerSize is the size of a pointer in bytes.
	PointerSize int
	// KernelStart is the lowest kernel address, in the widest address space that
	// the machine has.
	KernelStart uint64
	// TableBase is the physical address that DirectoryTableBase has, without what
	// else is in that register.
	TableBase func(h *Header) uint64

	// Registers is the CONTEXT as memory has it. Its size is the CONTEXT's.
	Registers *fields.Structure
	// DecodeContext decodes exactly that many bytes: less or more is a
	// *fields.SizeError. Nothing else is judged.
	DecodeContext func(b []byte) (wincontext.Context, error)
}

// Formats are those that the functions below know when they are given none.
func Formats() []*Format { return []*Format{X64, X86, ARM64} }

// Size is the size of the header in bytes: what follows begins there.
func (f *Format) Size() int { return f.Header.Size() }

// MaxRuns is how many runs the header has room for.
func (f *Format) MaxRuns() int { return f.part("Run").Count }

// Offset is where the field of that name stands, in bytes from the start of the
// header; 0 if the header does not have it.
func (f *Format) Offset(field string) int { return f.part(field).Offset }

// part is a field of the header; nothing if it has none of that name.
func (f *Format) part(name string) fields.Field {
	p, _ := f.Header.Field(name)
	return p
}

// Pointers returns values as the machine's memory holds pointers or arguments.
// A value that a pointer can't hold loses its upper bits.
func (f *Format) Pointers(values ...uint64) []byte {
	b := make([]byte, f.PointerSize*len(values))
	words := fields.Field{Size: len(b), Count: max(len(values), 1)}
	for i, v := range values {
		words.Store(b, i, v)
	}
	return b
}

// Builds tells whether a number may be that of a build of Windows with this header.
func (f *Format) Builds(n uint32) bool { return n >= f.MinBuild && n <= maxBuild }

// Validate returns what of a Format that somebody made does not fit together: a
// field that Header needs, or the CONTEXT. X64, X86 and ARM64 are valid.
func (f *Format) Validate() error {
	if f.Header == nil || f.Registers == nil || f.DecodeContext == nil || f.TableBase == nil {
		return errors.New("a structure or a function is missing")
	}
	for _, name := range []string{
		"Signature", "ValidDump", "MachineImageType", "DirectoryTableBase", "NumberProcessors", "DumpType",
		"NumberOfRuns", "NumberOfPages", "Run", "Run[0].BasePage", "Run[0].PageCount",
		"Context", "Exception.ExceptionCode", "Exception.ExceptionFlags", "Exception.ExceptionAddress",
	} {
		if _, ok := f.Header.Field(name); !ok {
			return fmt.Errorf("the header has no field %s", name)
		}
	}
	if f.LeastSize < 1 || f.LeastSize > f.Size() || f.PointerSize < 1 || f.PointerSize > 8 {
		return fmt.Errorf("LeastSize %d or PointerSize %d is out of range", f.LeastSize, f.PointerSize)
	}
	if size, room := f.Registers.Size(), f.part("Context").Size; size > room {
		return fmt.Errorf("a CONTEXT of 0x%x bytes does not fit into the header's 0x%x", size, room)
	}
	c, err := f.DecodeContext(make([]byte, f.Registers.Size()))
	switch {
	case err != nil:
		return fmt.Errorf("the CONTEXT of all zeros: %w", err)
	case c.Machine() != f.Machine || len(c.Encode()) != f.Registers.Size():
		return fmt.Errorf("the CONTEXT is of machine 0x%x and has 0x%x bytes, want 0x%x and 0x%x", c.Machine(), len(c.Encode()), f.Machine, f.Registers.Size())
	}
	return nil
}

// signatures is the size of the two signatures, with which every header begins.
const signatures = 8

// Recognise tells which format the header at the start of b has, even if one of
// its signatures is damaged: the first of formats of which the second signature
// and the machine type fit best. It is no header without the first signature,
// unless both of these fit. Without formats it chooses from [Formats].
func Recognise(b []byte, formats ...*Format) (*Format, bool) {
	if len(formats) == 0 {
		formats = Formats()
	}
	if len(b) < signatures {
		return nil, false
	}
	best, most := formats[0], -1
	for _, f := range formats {
		if n := f.fits(b); n > most {
			best, most = f, n
		}
	}
	const both = 2
	return best, most == both || binary.LittleEndian.Uint32(b) == SignaturePAGE
}

// fits counts what of second signature and machine type is the format's.
func (f *Format) fits(b []byte) (n int) {
	if binary.LittleEndian.Uint32(b[4:]) == f.ValidDump {
		n++
	}
	if p := f.part("MachineImageType"); p.End() <= len(b) && p.Load(b, 0) == uint64(f.Machine) {
		n++
	}
	return n
}

// HeadSize is how many bytes of a file's start are enough for [Recognise] and
// [Decode]: the size of the largest header.
func HeadSize(formats ...*Format) int {
	if len(formats) == 0 {
		formats = Formats()
	}
	return slices.MaxFunc(formats, func(a, b *Format) int { return a.Size() - b.Size() }).Size()
}

// Decode decodes the header at the start of b; what follows is ignored. The
// formats are as with [Recognise]. The error is ErrNotHeader, or a *fields.SizeError if
// b ends inside the header. Nothing else is judged, see Check.
func Decode(b []byte, formats ...*Format) (*Header, error) {
	f, ok := Recognise(b, formats...)
	if !ok {
		return nil, ErrNotHeader
	}
	return f.Decode(b[:min(len(b), f.Size())])
}

// ErrNotHeader says that bytes do not begin like a dump header.
var ErrNotHeader = errors.New("no dump header: it begins with no known signatures")

// decoder is DecodeContext of a machine whose CONTEXT is a T.
func decoder[T wincontext.Context](decode func(b []byte) (T, error)) func(b []byte) (wincontext.Context, error) {
	return func(b []byte) (wincontext.Context, error) {
		c, err := decode(b)
		if err != nil {
			return nil, err // and no Context that is not nil
		}
		return c, nil
	}
}
