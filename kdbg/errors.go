package kdbg

import (
	"errors"
	"fmt"

	"windmp/vtop"
)

var (
	// ErrNotFound is what [TagError], [SizeError] and [EncodingError] are, by
	// errors.Is: there is no such block at the address.
	ErrNotFound = errors.New("no debugger data block")
	// ErrMismatch is what [MismatchError] is: a block is there, but it
	// contradicts the header, itself, or the memory around it.
	ErrMismatch = errors.New("the debugger data block contradicts what is known")
	// ErrAbsentField is what [FieldError] is: the block is too short to have the
	// field.
	ErrAbsentField = errors.New("not in this debugger data block")
	// ErrNotKernel is what [PointerError] is: a pointer that can't be a kernel
	// address.
	ErrNotKernel = errors.New("no kernel address")

	// ErrNullPRCB says that an entry of KiProcessorBlock is null: Windows has no
	// such processor.
	ErrNullPRCB = errors.New("KiProcessorBlock entry is null")
	// ErrRepeatedPRCB says that an earlier entry of KiProcessorBlock is the same.
	ErrRepeatedPRCB = errors.New("KiProcessorBlock entry repeats an earlier one")
	// ErrNullContext says that KPRCB.Context is null: there is no place for the
	// processor's registers.
	ErrNullContext = errors.New("KPRCB.Context is null")

	// ErrTooMany says that a count is above its cap.
	ErrTooMany = errors.New("too many")
	// ErrCycle says that a list came back to an entry other than its head.
	ErrCycle = errors.New("the list runs in a circle")
	// ErrBadString says that a string's length or characters can't be right.
	ErrBadString = errors.New("malformed string")
	// ErrImplausible says that a page is not what its address promises.
	ErrImplausible = errors.New("implausible contents")
)

// TagError says that a block's owner tag is not "KDBG": nothing there, or an
// encoded block.
type TagError struct {
	VA  vtop.VA // of the block
	Got uint32
}

// Error gives the place and both values.
func (e *TagError) Error() string {
	return fmt.Sprintf("OwnerTag at %v: got %#x, want %#x (\"KDBG\")", e.VA+vtop.VA(offOwnerTag), e.Got, OwnerTag)
}

// Is reports whether target is [ErrNotFound].
func (e *TagError) Is(target error) bool { return target == ErrNotFound }

// SizeError says that a block's Size is out of bounds.
type SizeError struct {
	VA  vtop.VA // of the block
	Got uint32
}

// Error gives the place and the bounds.
func (e *SizeError) Error() string {
	return fmt.Sprintf("Size at %v: got %#x, want a multiple of 8 in %#x..%#x", e.VA+vtop.VA(offSize), e.Got, MinSize, MaxSize)
}

// Is reports whether target is [ErrNotFound].
func (e *SizeError) Is(target error) bool { return target == ErrNotFound }

// EncodingError says that no rotation decodes a block.
type EncodingError struct {
	VA vtop.VA // of the block
	// Tag and PageSize are the qwords that would decode to OwnerTag with Size
	// and to MmPageSize.
	Tag, PageSize uint64
}

// Error gives the two words.
func (e *EncodingError) Error() string {
	return fmt.Sprintf("no encoded block at %v: none of the 64 rotations makes the qwords %#x at +%#x and %#x at +%#x a \"KDBG\" tag with a size and a page size of 0x1000",
		e.VA, e.Tag, offOwnerTag, e.PageSize, offMmPageSize)
}

// Is reports whether target is [ErrNotFound].
func (e *EncodingError) Is(target error) bool { return target == ErrNotFound }

// TruncatedError says that only the first bytes of a block are readable.
type TruncatedError struct {
	VA       vtop.VA // of the block
	Readable int     // bytes
	Want     int     // bytes
	Err      error   // about the first byte that is not readable, a *vtop.FaultError
}

// Error gives both sizes and the cause.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("debugger data block at %v: only %#x of %#x bytes are readable: %v", e.VA, e.Readable, e.Want, e.Err)
}

// Unwrap returns Err.
func (e *TruncatedError) Unwrap() error { return e.Err }

// MismatchError says that a field of a block is not what it has to be.
type MismatchError struct {
	VA     vtop.VA // of the block
	Field  string
	Offset uintptr // of the field in the block
	Got    uint64
	Want   string
}

// Error gives the field, its place, and both values.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s at %v (+%#x): got %#x, want %s", e.Field, e.VA+vtop.VA(e.Offset), e.Offset, e.Got, e.Want)
}

// Is reports whether target is [ErrMismatch].
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// FieldError says that a block ends before a field.
type FieldError struct {
	Field  string
	Offset uintptr // of the field
	Size   int     // of the block, bytes
}

// Error gives the field and the block's size.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s at +%#x: %v of %#x bytes", e.Field, e.Offset, ErrAbsentField, e.Size)
}

// Is reports whether target is [ErrAbsentField].
func (e *FieldError) Is(target error) bool { return target == ErrAbsentField }

// PointerError says that a pointer is no kernel address.
type PointerError struct {
	What string  // whose pointer
	At   vtop.VA // where it was read; 0 for a field of the block
	Got  vtop.VA
}

// Error gives the pointer and where it was read.
func (e *PointerError) Error() string {
	if e.At == 0 {
		return fmt.Sprintf("%s: got %v, want a kernel address", e.What, e.Got)
	}
	return fmt.Sprintf("%s at %v: got %v, want a kernel address", e.What, e.At, e.Got)
}

// Is reports whether target is [ErrNotKernel].
func (e *PointerError) Is(target error) bool { return target == ErrNotKernel }
