package open

import (
	"bytes"
	"context"
	"errors"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
)

// BeginningSize is how much of a file [Beginning] wants to see, in bytes.
const BeginningSize = sniffSize

// Beginning tells of a file of which only the beginning is known, because it must be
// unpacked or fetched, whether [Source] can open it. The error is the one of Source
// where it certainly does not: no opener claims the file, or one knows it as a file that
// is not read, and none had to look farther. That of a context that is over is its
// cause. The beginning is [BeginningSize] bytes, or the whole of a smaller file; beside,
// which may be nil, has the file's name and its neighbours.
func Beginning(ctx context.Context, beginning []byte, beside physmem.Source, opt Options) error {
	if opt.Format == physmem.FormatRaw {
		return nil // which has no beginning
	}
	b := &beginningReader{b: beginning}
	size := int64(len(beginning))
	if size >= BeginningSize {
		size = unknownSize
	}
	src := physmem.NewSource("", b, size)
	if beside != nil {
		src = named{src, beside, b}
	}
	m, tried, err := claimed(ctx, src, opt)
	var unsupported *physmem.UnsupportedError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.beyond:
		return nil
	case m == nil && err == nil:
		return unrecognised(src, opt.Format, tried)
	case errors.As(err, &unsupported) && unsupported.DumpHeader == nil:
		return err
	}
	return nil
}

// named is a source with the name and the neighbours of another.
type named struct {
	physmem.Source
	beside physmem.Source
	b      *beginningReader
}

// Name implements [physmem.Source].
func (n named) Name() string { return n.beside.Name() }

// OpenSibling implements [physmem.Source].
func (n named) OpenSibling(name string) (physmem.Source, error) {
	s, err := n.beside.OpenSibling(name)
	n.b.beyond = n.b.beyond || errors.Is(err, ErrBeyond)
	return s, err
}

// unknownSize stands for the size of a file whose end is not known: that of the largest
// memory that x64 can have, in bytes, so that no claim of a real file is larger.
const unknownSize = 1 << 52

// A beginningReader reads the beginning of a file.
type beginningReader struct {
	b []byte
	// beyond is set when more than that was asked for.
	beyond bool
}

// ErrBeyond is the error of what is asked of a file and is not known of it yet: bytes behind
// its beginning, or, of a neighbour, whether there is one.
var ErrBeyond = errors.New("behind the part of the file that is known")

// ReadAt implements io.ReaderAt.
func (r *beginningReader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if at := binio.Uint64(off); at < uint64(len(r.b)) {
		n = copy(p, r.b[at:])
	}
	switch {
	case n == len(p):
		return n, nil
	case len(r.b) < BeginningSize:
		return n, io.EOF
	}
	r.beyond = true
	return n, ErrBeyond
}

// IsAFF4 reports whether a file is an AFF4 volume, which is a zip archive whose members
// are nothing by themselves. What can't be read speaks for nothing.
func IsAFF4(src physmem.Source) bool {
	b, err := physmem.Head(src, firstSize)
	p := &probe{head: b, src: src}
	return err == nil && bytes.HasPrefix(b, []byte("PK\x03\x04")) && p.isAFF4()
}

// Claims is the format whose opener claims a file that begins so, whatever it makes of
// the rest; empty if none does. The beginning is as for [Beginning].
func Claims(ctx context.Context, beginning []byte) physmem.Format {
	size := int64(len(beginning))
	if size >= BeginningSize {
		size = unknownSize
	}
	src := physmem.NewSource("", &beginningReader{b: beginning}, size)
	for _, o := range (Options{}).openers() {
		if _, err := o.Open(ctx, src); err == nil {
			return o.Format
		} else if _, other := physmem.WhyNotMine(err); !other {
			return o.Format
		}
	}
	return ""
}
