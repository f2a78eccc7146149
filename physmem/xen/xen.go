// Package xen opens what Xen's tools write of a guest: the core of xl dump-core, which
// XenServer and XCP-ng write too, and the saved state of xl save. What is x86 in them
// stands in the files x86_*.go.
//
// A core is an ELF file without program headers: the pages lie in one section, their
// numbers in another. A saved state is a stream of records, those with pages, in which
// a later page replaces an earlier one, and one with the state of the machine. Both
// are indexed by runs of pages; the guest's memory is read where it lies.
package xen

import (
	"bytes"
	"context"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Opener returns the opener of Xen's files.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatXen, Open: open} }

func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	f := &file{ctx: ctx, src: src, has: physmem.NewLength(src)}
	const longest = 64
	head, err := physmem.Head(src, longest)
	if err != nil {
		return nil, err
	}
	for _, w := range wrappings {
		if bytes.HasPrefix(head, []byte(w.magic)) {
			return (&savedState{file: f, kind: w.kind}).open(w.enter)
		}
	}
	return (&core{file: f}).open(head)
}

// file is what is opened.
type file struct {
	ctx context.Context // of opening
	src physmem.Source
	has *physmem.Length // of the file, which may grow while a stream is walked
	odd physmem.Oddities
}

// size is that of the file, bytes.
func (f *file) size() uint64 { return f.has.Whole() }

// read returns n bytes at off, which must lie in the file.
func (f *file) read(off, n, limit uint64) ([]byte, error) {
	b, err := binio.ReadBytes(f.src, off, n, limit)
	if err != nil {
		return nil, &physmem.ReadError{Offset: int64(off), Err: err} //nolint:gosec // inside the file
	}
	return b, nil
}

// cut says that the file ends before end, 0 if that is not known.
func (f *file) cut(end uint64) *physmem.Cut { return &physmem.Cut{Size: f.size(), Whole: end} }

// unsupported names a file of Xen's that is not read.
func unsupported(what, hint string) error {
	return &physmem.UnsupportedError{Format: physmem.FormatXen, What: what, Hint: hint}
}

// Ways to a dump where a file is of no use.
const (
	hintCrash = "have Windows write the dump: xl trigger NAME nmi makes it crash"
	hintDump  = "restore the guest and dump its memory with xl dump-core"
)
