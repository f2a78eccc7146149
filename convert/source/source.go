package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/migration"
	"windmp/physmem/open"
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

// A Source is an input that is open: what is examined of it, unpacked if need be.
type Source struct {
	physmem.Source
	in      Input
	options open.Options
	file    physmem.Source // as it lies
	closers []io.Closer
}

// Open opens an input. The error is a usage error ([*stage.UsageError]) where the
// options make no sense, a [*stage.Error] of unpacking, one of [open.NewFileSource], one
// of [open.Source] where a packed file holds no memory image, or what the system says.
func Open(ctx context.Context, in Input, opt Options) (*Source, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	stage.Enter(opt.Progress, stage.Open)
	if in.src != nil {
		return &Source{Source: in.src, in: in, options: opt.Input, file: in.src}, nil
	}
	f, err := open.NewFileSource(in.path)
	if err != nil {
		return nil, err
	}
	s := &Source{Source: f, in: in, options: opt.Input, file: f, closers: []io.Closer{f}}
	if err := s.unpack(ctx, &opt); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// unpack unpacks a packed file into a temporary one.
func (s *Source) unpack(ctx context.Context, opt *Options) error {
	if st, err := os.Stat(s.in.path); err != nil || !st.Mode().IsRegular() {
		return nil //nolint:nilerr // a block device is not packed; what is wrong with it, reading says
	}
	how, at, head := pack.Recognise(s.file), int64(0), []byte(nil)
	if how == pack.None {
		// What libvirt saves has a header in front of what it packed.
		var name string
		name, at, head = migration.Packing(s.file)
		how = pack.Method(name)
	}
	if !pack.Unpacks(how) || open.IsAFF4(s.file) {
		return nil
	}
	m := opt.Count
	if m == nil {
		m = stage.NewMeter(stage.Unpack, s.file.Size(), 0, opt.Progress)
		defer m.Finish()
	} else {
		m.Grow(s.file.Size())
	}
	t, err := pack.Unpack(ctx, how, io.NewSectionReader(m.Reader(s.file), at, s.file.Size()-at), pack.Options{
		Dir: opt.TempDir, Limit: opt.MaxUnpacked, Input: opt.Input, Beside: unpacked{file: s.file}, Front: head,
	})
	if errors.Is(err, pack.ErrCut) {
		size := s.file.Size()
		err = &physmem.FormatError{
			Format: physmem.Format(how), Offset: size, Field: "packed data", Reason: "it ends too early",
			Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: uint64(size)}, //nolint:gosec // a size
		}
	}
	switch {
	case errors.Is(err, physmem.ErrUnknownFormat), errors.Is(err, physmem.ErrUnsupported):
		return fmt.Errorf("%s: %w", s.in.path, err)
	case err != nil:
		return &stage.Error{Stage: stage.Unpack, Err: err}
	}
	s.closers = append(s.closers, t)
	s.Source = unpacked{physmem.NewSource("", t, t.Size()), s.file}
	return nil
}

// Image opens the memory image. The error is one of [open.Source].
func (s *Source) Image(ctx context.Context) (*physmem.Image, error) {
	return open.Source(ctx, s.Source, s.options)
}

// Options say how the container is to be opened.
func (s *Source) Options() open.Options { return s.options }

// File is the input as it lies, packed if it is.
func (s *Source) File() physmem.Source { return s.file }

// Close closes and removes what was opened. Images can't be read afterwards.
func (s *Source) Close() error {
	var err error
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// NextData implements [physmem.DataFinder].
func (s *Source) NextData(off int64) int64 { return physmem.NextData(s.Source, off) }

// With opens an image for f, and closes it. A read of the image that failed is an
// error in any case. The error is that of f, a [*stage.UsageError], or a
// [*stage.Error].
func With(ctx context.Context, in Input, opt Options, f func(im *physmem.Image) error) error {
	return WithOr(ctx, in, opt, f, func(_ *Source, err error) error { return err })
}

// WithOr is With for who can do with something else than an image, too: or is asked
// where there is none, with the error of opening it, which it returns where it can't.
func WithOr(ctx context.Context, in Input, opt Options, f func(im *physmem.Image) error, or func(s *Source, err error) error) (err error) {
	s, err := Open(ctx, in, opt)
	if err != nil {
		return opening(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	im, none := s.Image(ctx)
	if none != nil {
		err := or(s, none)
		if !errors.Is(err, none) {
			return err
		}
		if s.Source == s.file && in.src == nil {
			err = fmt.Errorf("%s: %w", in.path, err)
		}
		return opening(err)
	}
	if err := f(im); err != nil {
		return finding.NameDamage(im, err)
	}
	if err := im.ReadFailure(); err != nil {
		return &stage.Error{Stage: stage.Read, Err: err}
	}
	return nil
}

// opening is err with its stage.
func opening(err error) error {
	var st *stage.Error
	var usage *stage.UsageError
	if errors.As(err, &st) || errors.As(err, &usage) {
		return err
	}
	return &stage.Error{Stage: stage.Open, Err: err}
}
