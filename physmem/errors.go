package physmem

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// What a caller may want to tell apart. The errors of this package carry more
// than that; see their types.
var (
	// ErrUnknownFormat matches an *UnknownFormatError: no format recognised
	// the file.
	ErrUnknownFormat = errors.New("not a memory image that is known here")
	// ErrUnsupported matches an *UnsupportedError: the file was recognised,
	// but nothing here reads it.
	ErrUnsupported = errors.New("not supported")
	// ErrNotInImage matches a *NotInImageError: the file does not hold the
	// memory that was asked for.
	ErrNotInImage = errors.New("memory is not in the image")
	// ErrSource matches what makes a [Source] unreadable without being the
	// system's error: damage in what it is packed in, a server that does not
	// answer. [Image.ReadFailure] returns it like those of the system.
	ErrSource = errors.New("the source can't be read")
)

const (
	// HintIncomplete is the Hint of a file that ends too early.
	HintIncomplete = "Copy the file again, or dump again with enough space."
	// HintRaw is about files that are no container and may be memory all the same.
	HintRaw = "Raw memory is read if raw is given as its format"
	// HintNoFormat is about files that are not of the format that was given.
	HintNoFormat = "leave the format out, and it is recognised"
	// HintDamaged is that of a file whose bytes are not those that were written.
	HintDamaged = "Copy the file again, or dump again."
)

// A FormatError says that a file of a known format is malformed beyond use.
type FormatError struct {
	Format Format
	Offset int64  // file offset of the structure or field
	Field  string // the structure and field, "program headers: e_phentsize"
	Got    string // what is there
	Want   string // what must be there, empty if Reason says it
	Reason string // why it is wrong
	Hint   string // what to do about it, may be empty
	Err    error  // cause, may be nil
	// Cut is set when it is because the file ends too early.
	Cut *Cut
	// DumpHeader is the header of a Windows crash dump whose memory is not there;
	// nil for all other files.
	DumpHeader []byte
}

func (e *FormatError) Error() string {
	var b strings.Builder
	if e.Cut != nil {
		b.WriteString(e.Cut.String() + "; ")
	}
	fmt.Fprintf(&b, "%s: %s at file offset 0x%x", e.Format, e.Field, e.Offset)
	if e.Got != "" {
		b.WriteString(": got " + e.Got)
	}
	if e.Want != "" {
		b.WriteString(", want " + e.Want)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// An UnsupportedError names a file that was recognised and cannot be used.
type UnsupportedError struct {
	Format Format // the format it is part of, empty if none of ours
	What   string // what the file is, "an ELF executable, not a memory core"
	Hint   string // what to do about it, may be empty
	// DumpHeader is the header of a Windows crash dump whose memory is not
	// read here: 0x2000 bytes, 0x1000 of a 32-bit one, less if the file has
	// less. Nil for all other files.
	DumpHeader []byte
	// Encrypted is set where the file is one that would be read if it were not
	// encrypted.
	Encrypted bool
	// Unread is set where nothing of the file was looked at, for what it lies in: a pipe,
	// a server that sends no parts. What it holds is not known.
	Unread bool
}

func (e *UnsupportedError) Error() string {
	s := "the file is " + e.What
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Is matches ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// LooksEmpty is what a file without a byte looks like.
const LooksEmpty = "an empty file"

// An UnknownFormatError lists what was tried on a file that nothing
// recognised.
type UnknownFormatError struct {
	Looks string // what its first bytes look like
	Hint  string // what to do about it, may be empty
	Tried []Refusal
}

// A Refusal is the reason why one format is not that of the file.
type Refusal struct {
	Format Format
	Reason string
}

func (e *UnknownFormatError) Error() string {
	s := ErrUnknownFormat.Error()
	if e.Looks != "" {
		s += ": it looks like " + e.Looks
	}
	for _, t := range e.tellingly() {
		s += fmt.Sprintf("; not %s: %s", t.Format, t.Reason)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// tellingly is what is worth reading of what was tried: nothing where it is known what
// the file looks like.
func (e *UnknownFormatError) tellingly() []Refusal {
	if e.Looks != "" {
		return nil
	}
	return e.Tried
}

// Is matches ErrUnknownFormat.
func (e *UnknownFormatError) Is(target error) bool { return target == ErrUnknownFormat }

// A SnapshotError says that a file holds the memory of several snapshots, and which is
// meant was not said, or is not there.
type SnapshotError struct {
	Name      string   // that was asked for, empty if none was
	Snapshots []string // that there are, in words
}

func (e *SnapshotError) Error() string {
	list := strings.Join(e.Snapshots, ", ")
	if e.Name == "" {
		return "the file holds the memory of several snapshots, name one of them: " + list
	}
	return fmt.Sprintf("the file holds no memory of a snapshot %q, but of %s", e.Name, list)
}

// Is matches ErrUnsupported.
func (e *SnapshotError) Is(target error) bool { return target == ErrUnsupported }

// A NotInImageError says that the file does not hold the memory at PA. It says
// nothing about the guest: the guest may well have memory there.
type NotInImageError struct {
	PA   uint64 // the first guest physical address that is missing
	Size uint64 // bytes from PA to the end of the hole; 0 if nothing follows
}

func (e *NotInImageError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("guest physical memory at 0x%x and all behind it is not in the image", e.PA)
	}
	return fmt.Sprintf("guest physical memory at 0x%x (0x%x bytes) is not in the image", e.PA, e.Size)
}

// Is matches ErrNotInImage.
func (e *NotInImageError) Is(target error) bool { return target == ErrNotInImage }

// A ReadError says that the file itself could not be read.
type ReadError struct {
	Offset int64 // file offset of the failed read
	Err    error // the reader's error; io.ErrUnexpectedEOF if the file has become shorter
	// Damaged is set where the file was read, and what is there can't be decoded.
	Damaged bool
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("read of the image at file offset 0x%x: %v", e.Offset, e.Err)
}

// Unwrap returns the reader's error.
func (e *ReadError) Unwrap() error { return e.Err }

// BySystem reports whether the system refused the read, as it does of a disk with bad
// sectors: other reads of the file may go well.
func (e *ReadError) BySystem() bool {
	_, system := errors.AsType[syscall.Errno](e.Err)
	return system && !errors.Is(e.Err, ErrSource)
}

// RefusedRead returns the read for which err came about, if that is one that the system
// refused ([ReadError.BySystem]).
func RefusedRead(err error) (*ReadError, bool) {
	read, ok := errors.AsType[*ReadError](err)
	return read, ok && read.BySystem()
}

// A SourceError says that a [Source] has failed for good: a server that can't be reached
// any more, or has another file by now. As with a disk that fails, nothing follows from
// it about the guest.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Is matches ErrSource.
func (e *SourceError) Is(target error) bool { return target == ErrSource }
