package open

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"windmp/internal/siblings"
	"windmp/physmem"
)

// A FileSource is a [physmem.Source] in a file of the system: a regular file, a
// temporary one, a block device. It knows the file's holes by what the system says
// of them.
type FileSource struct {
	*os.File
	size     int64
	siblings siblings.List[*FileSource]
}

// NewFileSource opens a regular file, or a block device, read-only. The errors are what
// the system says, and a *physmem.UnsupportedError for what can't be read at any
// offset.
func NewFileSource(path string) (*FileSource, error) {
	// Opening a FIFO would wait for a writer, so it is refused before.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := openable(info.Mode()); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	src, err := NewFile(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return src, nil
}

// NewFile returns the source in an open file, which is closed with it. Its holes are
// found by moving the file's offset, which nothing here makes use of.
func NewFile(f *os.File) (*FileSource, error) {
	// A block device's Stat says size 0; its end is found by seeking there.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return &FileSource{File: f, size: size}, nil
}

// Size implements [physmem.Source]. It is the size when the source was made.
func (s *FileSource) Size() int64 { return s.size }

// Name implements [physmem.Source].
func (s *FileSource) Name() string { return filepath.Base(s.File.Name()) }

// ModTime implements [physmem.Dated].
func (s *FileSource) ModTime() time.Time {
	st, err := s.Stat()
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// OpenSibling implements [physmem.Source]: it opens a regular file, or a block
// device, in the folder of this one.
func (s *FileSource) OpenSibling(name string) (physmem.Source, error) {
	if name != filepath.Base(name) || !fs.ValidPath(filepath.ToSlash(name)) || name == "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	path := filepath.Join(filepath.Dir(s.File.Name()), name)
	sibling, err := NewFileSource(path)
	if err != nil {
		return nil, err
	}
	s.siblings.Add(sibling)
	return sibling, nil
}

// Close closes the file and its siblings.
func (s *FileSource) Close() error { return errors.Join(s.File.Close(), s.siblings.Close()) }
