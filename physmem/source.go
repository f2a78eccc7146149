package physmem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"time"
)

// A Source is a file that an [Opener] looks at: on a disk, unpacked, behind a
// network. It must allow concurrent reads, as io.ReaderAt wants. One that has
// holes and knows them is a [DataFinder] as well.
type Source interface {
	io.ReaderAt
	// Size returns the size in bytes.
	Size() int64
	// Name returns the file's name without a folder; empty if it has none.
	Name() string
	// OpenSibling opens a file of that name beside this one. It is closed with this
	// one. The error is fs.ErrNotExist if there is none, or if the source has no
	// neighbours.
	OpenSibling(name string) (Source, error)
}

// A UseTeller is a [Source] that knows whether another program has it open to write.
type UseTeller interface {
	// InUse reports whether one has, as far as that is known.
	InUse() bool
}

// InUse asks src whether another program has it open to write: false if it does not
// know.
func InUse(src Source) bool {
	u, ok := src.(UseTeller)
	return ok && u.InUse()
}

// A Dated is a [Source] that knows when it was last written to.
type Dated interface {
	// ModTime returns that time, the zero Time if it is not known.
	ModTime() time.Time
}

// ModTime asks src when it was last written to: the zero Time if it does not know.
func ModTime(src Source) time.Time {
	if d, ok := src.(Dated); ok {
		return d.ModTime()
	}
	return time.Time{}
}

// A Stretch is a piece of a file.
type Stretch struct{ Offset, Size int64 } // bytes

// An Announcer is a [Source] that is faster when it knows what will be read: one behind
// a network.
type Announcer interface {
	// Announce says which stretches are read next, in this order. It returns at once, and
	// goes through the list while they are read; neither has the caller to read all of
	// them, nor nothing else.
	Announce(list iter.Seq[Stretch])
}

// A Retrier is a [Source] that asks for nothing more once it was refused: one behind a
// network.
type Retrier interface {
	// Retry has it ask again.
	Retry()
}

// A Foreteller is a [Source] that wants to know before all of it is read, where a
// little does not do, or a table that grows with the memory in it.
type Foreteller interface {
	// ReadsAll is told that n bytes are going to be read, one after the other. An
	// error is for not doing so.
	ReadsAll(n int64) error
	// ReadsTable is told that about n bytes are going to be read that say where pages
	// are.
	ReadsTable(n int64)
}

// ReadsAll tells src, if it wants to know, that n bytes of it are going to be read. An
// [Opener] returns the error.
func ReadsAll(src io.ReaderAt, n int64) error {
	if f, ok := src.(Foreteller); ok {
		return f.ReadsAll(n)
	}
	return nil
}

// ReadsTable tells src, if it wants to know, that about n bytes are going to be read that
// say where pages are.
func ReadsTable(src io.ReaderAt, n uint64) {
	if f, ok := src.(Foreteller); ok {
		f.ReadsTable(int64(min(n, math.MaxInt64)))
	}
}

// Retry has src ask again for what it was refused, if it is one that stops to ask.
func Retry(src Source) {
	if r, ok := src.(Retrier); ok {
		r.Retry()
	}
}

// NewSource returns a source of size bytes in r without neighbours. Its name may
// be empty.
func NewSource(name string, r io.ReaderAt, size int64) Source {
	return &source{ReaderAt: r, name: name, size: size}
}

type source struct {
	io.ReaderAt
	name string
	size int64
}

func (s *source) Size() int64              { return s.size }
func (s *source) Name() string             { return s.name }
func (s *source) NextData(off int64) int64 { return NextData(s.ReaderAt, off) }

func (s *source) OpenSibling(name string) (Source, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// An Opener opens one format, or family of formats, of containers.
type Opener struct {
	// Format is the name by which a user can ask for it.
	Format Format
	// Snapshots says that its files may hold several machines, of which a user can choose.
	Snapshots bool
	// Open returns what it found in a file of its format. Of another one, it
	// returns the error of [NotMine], and others are asked; any other error is
	// final. A file that is known and not read is an *UnsupportedError, one that
	// is malformed beyond use a *FormatError, one that cannot be read a *ReadError,
	// and what is only odd is an Oddity.
	//
	// The context is that of opening: the Memory must go on reading src when it
	// is over.
	Open func(ctx context.Context, src Source) (*Container, error)
}

// A Container is what an [Opener] found in a file.
type Container struct {
	// Description says in a few words what kind of file it is and who wrote it.
	Description string
	// State is what the file says of itself as the state of a machine.
	State State
	// Machine is what the file says of the kind of machine.
	Machine Machine
	Memory  Memory
	// MemoryFile is the name of the sibling that the extents of Memory lie in; empty
	// if that is the file itself.
	MemoryFile string
	// Apart says that memory and processors come from two files, so that they may be of
	// different moments.
	Apart bool
	// CPUs are the processors in the order of the file.
	CPUs []CPU
	// GuestNote is what the guest left with its host, nil if there is nothing.
	GuestNote *Note
	// DumpHeader is the header of a Windows crash dump, nil in other formats.
	DumpHeader []byte
	Oddities   []Oddity
}

// notMine is the reason why a file is not of a format.
type notMine struct{ reason string }

func (e *notMine) Error() string { return e.reason }

// NotMine returns the error with which an opener leaves a file to others, and
// the reason, "no ELF signature at its start".
func NotMine(format string, args ...any) error {
	return &notMine{fmt.Sprintf(format, args...)}
}

// WhyNotMine returns the reason if err is one of [NotMine].
func WhyNotMine(err error) (reason string, ok bool) {
	var e *notMine
	if !errors.As(err, &e) {
		return "", false
	}
	return e.reason, true
}
