package kdbg

import (
	"errors"
	"fmt"

	"windmp/kdbg/wire"
	"windmp/vtop"
)

// What a [BlockError] is, by errors.Is, unless it wraps a *vtop.FaultError: then the
// block is not readable.
var (
	// ErrNotFound: there is no debugger data block.
	ErrNotFound = errors.New("no debugger data block")
	// ErrMismatch: a block is there, but it contradicts the header, itself, or the
	// memory around it.
	ErrMismatch = errors.New("the debugger data block contradicts what is known")
	// ErrAbsentField: the block is too short to have the field.
	ErrAbsentField = errors.New("not in this debugger data block")
)

// ErrNotKernel is what a [PointerError] is.
var ErrNotKernel = errors.New("no kernel address")

// What is wrong with one of Windows' processors, see [Processor].
var (
	// ErrNullPRCB: its entry of KiProcessorBlock is null; Windows has no such
	// processor.
	ErrNullPRCB = errors.New("KiProcessorBlock entry is null")
	// ErrRepeatedPRCB: an earlier entry of KiProcessorBlock is the same.
	ErrRepeatedPRCB = errors.New("KiProcessorBlock entry repeats an earlier one")
	// ErrNullContext: KPRCB.Context is null; there is no place for its registers.
	ErrNullContext = errors.New("KPRCB.Context is null")
)

// What is wrong with a structure of the guest.
var (
	// ErrTooMany: a count is above its cap.
	ErrTooMany = errors.New("too many")
	// ErrCycle: a list came back to an entry other than its head.
	ErrCycle = errors.New("the list runs in a circle")
	// ErrBadString: a string's length or characters can't be right.
	ErrBadString = errors.New("malformed string")
	// ErrNotSet: the memory was not filled yet. It is ErrImplausible as well.
	ErrNotSet = errors.New("not set yet")
	// ErrImplausible: the memory is not what its address promises.
	ErrImplausible = errors.New("implausible contents")
)

// BlockError says why what is at an address is no debugger data block, or not the one
// that is looked for, or lacks a field.
type BlockError struct {
	VA    vtop.VA // of the block
	Field string  // of the block; empty if it is about all of it
	Err   error   // [ErrNotFound], [ErrMismatch], [ErrAbsentField], or a *vtop.FaultError
	text  string
}

// Error gives the field, its place, and what was got and wanted.
func (e *BlockError) Error() string { return e.text }

// Unwrap returns Err.
func (e *BlockError) Unwrap() error { return e.Err }

func wrongTag(va vtop.VA, got uint32) error {
	return &BlockError{
		VA: va, Field: "OwnerTag", Err: ErrNotFound,
		text: fmt.Sprintf("OwnerTag at %v: got %#x, want %#x (\"KDBG\")", va+vtop.VA(wire.OffOwnerTag), got, wire.OwnerTag),
	}
}

func wrongSize(va vtop.VA, got uint32) error {
	return &BlockError{
		VA: va, Field: "Size", Err: ErrNotFound,
		text: fmt.Sprintf("Size at %v: got %#x, want a multiple of 8 in %#x..%#x", va+vtop.VA(wire.OffSize), got, wire.MinSize, wire.MaxSize),
	}
}

// notEncoded is about a block that no rotation decodes; tag and size are the words
// that would decode to OwnerTag with Size and to MmPageSize.
func notEncoded(va vtop.VA, tag, size uint64) error {
	return &BlockError{
		VA: va, Err: ErrNotFound,
		text: fmt.Sprintf("no encoded block at %v: none of the 64 rotations makes the qwords %#x at +%#x and %#x at +%#x a \"KDBG\" tag with a size and a page size of 0x1000",
			va, tag, wire.OffOwnerTag, size, wire.OffMmPageSize),
	}
}

// truncated is about a block of which only so many bytes can be read.
func truncated(va vtop.VA, readable, want int, err error) error {
	return &BlockError{
		VA: va, Err: err,
		text: fmt.Sprintf("debugger data block at %v: only %#x of %#x bytes are readable: %v", va, readable, want, err),
	}
}

// Mismatch is about a field that is not what it has to be.
func (b *Block) Mismatch(field string, offset uintptr, got uint64, want string) error {
	return &BlockError{
		VA: b.VA, Field: field, Err: ErrMismatch,
		text: fmt.Sprintf("%s at %v (+%#x): got %#x, want %s", field, b.VA+vtop.VA(offset), offset, got, want),
	}
}

// absent is about a field that lies behind the end of the block.
func (b *Block) absent(field string, offset uintptr) error {
	return &BlockError{
		VA: b.VA, Field: field, Err: ErrAbsentField,
		text: fmt.Sprintf("%s at +%#x: %v of %#x bytes", field, offset, ErrAbsentField, len(b.Raw)),
	}
}

// PointerError says that a pointer is no kernel address, or does not lead where it
// has to.
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
