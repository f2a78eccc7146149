package fileset

import (
	"errors"
	"io"
	"io/fs"

	"windmp/physmem"
)

// Slice reads a stretch of a file into blocks, which lie one behind the other in it. It
// fills all of them, or returns an error.
type Slice func(off int64, blocks [][]byte) error

// Set is the files of a job. What is kept of them is kept together.
type Set struct {
	files []*File
	kept  cache
}

// File is one of them. It is read at any offset, by several goroutines at once, and its
// neighbours are the other files of the set.
type File struct {
	set   *Set
	name  string
	size  int64
	slice Slice

	// next is the block behind those that were read last, and run how many these were.
	next int64
	run  int64
}

// Add adds a file of so many bytes to the set.
func (s *Set) Add(name string, size int64, slice Slice) {
	s.files = append(s.files, &File{set: s, name: name, size: size, slice: slice})
}

// Files are the files, in the order in which they were added.
func (s *Set) Files() []*File { return s.files }

// Size implements [physmem.Source].
func (f *File) Size() int64 { return f.size }

// Name implements [physmem.Source].
func (f *File) Name() string { return f.name }

// OpenSibling implements [physmem.Source].
func (f *File) OpenSibling(name string) (physmem.Source, error) {
	for _, o := range f.set.files {
		if o != f && o.name == name {
			return o, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("an offset is negative")
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= f.size {
			return n, io.EOF
		}
		copied, err := f.set.kept.read(f, p[n:], at)
		if err != nil {
			return n, err
		}
		n += copied
	}
	return n, nil
}
