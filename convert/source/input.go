package source

import (
	"io"
	"os"

	"windmp/physmem"
)

// An Input names what is to be opened: [File] or [Reader].
type Input struct {
	path string
	src  physmem.Source // nil for a file
}

// File is the file of that path.
func File(path string) Input { return Input{path: path} }

// Reader is size bytes of r, which stays the caller's. It is taken as it is, not
// unpacked; one that knows its holes is a [physmem.DataFinder]. The name is for
// reports and may be empty.
func Reader(name string, r io.ReaderAt, size int64) Input {
	return Input{path: name, src: physmem.NewSource(name, r, size)}
}

// Path is the file's, or the reader's name.
func (in Input) Path() string { return in.path }

// Size is that of the file as it lies, in bytes; 0 for what is no regular file.
func (in Input) Size() int64 {
	if in.src != nil {
		return in.src.Size()
	}
	if st, err := os.Stat(in.path); err == nil && st.Mode().IsRegular() {
		return st.Size()
	}
	return 0
}
