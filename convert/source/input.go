package source

import (
	"io"
	"os"

	"windmp/physmem"
)

// An Input names what is to be opened: [File], [URL], [Named], [Reader] or [Of].
type Input struct {
	path string         // or how a URL or a reader is shown
	url  string         // with all that may be secret in it
	src  physmem.Source // of a reader
	// whole says that src is a file, which may be packed.
	whole bool
}

// File is the file of that path.
func File(path string) Input { return Input{path: path} }

// Named is what people name: a URL if it begins with http:// or https://, else a file.
func Named(name string) Input {
	if isURL(name) {
		return URL(name)
	}
	return File(name)
}

// URL is the file behind an http(s) URL, which the server must send in parts, or
// [Options].Web allows it to be fetched whole. Its query, its user, and the headers of
// the options are secret: they are in no error and no report.
func URL(u string) Input { return Input{path: shownURL(u), url: u} }

// Reader is size bytes of r, which stays the caller's. It is taken as it is, not
// unpacked; one that knows its holes is a [physmem.DataFinder]. The name is for
// reports and may be empty.
func Reader(name string, r io.ReaderAt, size int64) Input {
	return Input{path: name, src: physmem.NewSource(name, r, size)}
}

// Of is a source of the caller's that is a whole file, as of a browser: what is packed in
// it is unpacked, as that of [File]. It knows its name and its neighbours, and stays the
// caller's.
func Of(src physmem.Source) Input { return Input{path: src.Name(), src: src, whole: true} }

// Path is the file's, the URL without what may be secret, or the reader's name.
func (in Input) Path() string { return in.path }

// IsURL reports whether the input is behind a URL.
func (in Input) IsURL() bool { return in.url != "" }

// Name is the file's name in a URL, empty if it has none; of other inputs it is Path.
func (in Input) Name() string {
	if in.IsURL() {
		return nameOf(in.url)
	}
	return in.path
}

// Size is that of the file as it lies, in bytes; 0 for what is no regular file, and of a
// URL, which is not asked here.
func (in Input) Size() int64 {
	switch {
	case in.src != nil:
		return in.src.Size()
	case in.IsURL():
		return 0
	}
	if st, err := os.Stat(in.path); err == nil && st.Mode().IsRegular() {
		return st.Size()
	}
	return 0
}
