package pack

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"

	"windmp/physmem"
)

// unpackedName stands in the names of the temporary files.
const unpackedName = "unpacked"

// room is where unpacked bytes lie until the file is closed.
type room interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// space is an error where there is no room for so many bytes more.
	space(n int64) error
	// finder finds what lies there, when all of it does.
	finder() (physmem.DataFinder, error)
}

// A File is what is unpacked: a temporary file, sparse and without a name where the
// system allows that, which is gone when it is closed. It can be read while it is
// unpacked: whatever is asked of it waits until it is known.
type File struct {
	file   room
	member string // its name in an archive, empty of a stream
	grown  *growth
	stop   context.CancelCauseFunc
	ended  sync.WaitGroup // of who unpacks

	// These are there when all is unpacked.
	data    physmem.DataFinder
	all     []string // names of the archive's members
	written int64    // bytes on the disk
}

var (
	_ physmem.Source     = (*File)(nil)
	_ physmem.Growing    = (*File)(nil)
	_ physmem.DataFinder = (*File)(nil)
)

// Wait waits until all is unpacked. The error is one of [Unpack].
func (t *File) Wait() error { return t.grown.wait() }

// Missed reports whether somebody asked for bytes that did not come because unpacking
// failed.
func (t *File) Missed() bool { return t.grown.missed() }

// Reach implements [physmem.Growing].
func (t *File) Reach(n int64) int64 {
	have, _ := t.grown.reach(n)
	return have
}

// Size is that of what is unpacked, in bytes; where that failed, of what there is.
func (t *File) Size() int64 { return t.Reach(forever) }

// Written is how many bytes were written to the disk, without holes.
func (t *File) Written() int64 {
	_ = t.Wait() // what was written before it failed was written
	return t.written
}

// Name implements [physmem.Source]: the name in an archive, without a folder.
func (t *File) Name() string {
	if t.member == "" {
		return ""
	}
	return path.Base(t.member)
}

// OpenSibling implements [physmem.Source]: it has none, but see [File.Member].
func (t *File) OpenSibling(name string) (physmem.Source, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// InArchive reports whether the file is one of an archive.
func (t *File) InArchive() bool { return t.member != "" }

// Member is what the file is in an archive. The error is one of unpacking.
func (t *File) Member() (*Member, error) {
	if _, err := t.grown.reach(forever); err != nil {
		return nil, err
	}
	return &Member{t.member, t.all}, nil
}

// ReadAt implements io.ReaderAt. The error of bytes that are not there is one of
// unpacking, if that failed.
func (t *File) ReadAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if off < 0 || end < off {
		return 0, &fs.PathError{Op: "read", Path: unpackedName, Err: fs.ErrInvalid}
	}
	have, failed := t.grown.reach(end)
	p = p[:max(0, min(int64(len(p)), have-off))]
	n, err := t.file.ReadAt(p, off)
	if errors.Is(err, io.EOF) { // a hole that the file will have
		clear(p[n:])
		n, err = len(p), nil
	}
	switch {
	case err != nil || off+int64(n) == end:
		return n, err
	case failed != nil:
		return n, failed
	}
	return n, io.EOF
}

// NextData returns the first offset from off on where there is no hole, as far as
// the system tells.
func (t *File) NextData(off int64) int64 {
	if _, err := t.grown.reach(forever); err != nil {
		return off
	}
	return t.data.NextData(off)
}

// Close ends unpacking, if it goes on, and closes and removes the file.
func (t *File) Close() error {
	t.stop(fs.ErrClosed)
	t.ended.Wait()
	return t.file.Close()
}
