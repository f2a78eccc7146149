package source

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// A Source is an input that is open: what is examined of it, unpacked if need be.
type Source struct {
	physmem.Source
	in      Input
	options open.Options
	file    physmem.Source // as it lies
	watched *watched       // file, too
	closers []io.Closer
	// network is that of a URL, nil of what is here.
	network   network
	fetched   bool // all of it came before it is read
	closing   func(*Source)
	unpacking *unpacking // nil of what is read as it lies
	// readFailed is set when what is packed could not be read.
	readFailed atomic.Bool
}

// A network brings the bytes behind a URL.
type network interface {
	// Transferred is how many bytes came.
	Transferred() int64
	// Failure is why no more come, nil if that is not so.
	Failure() error
}

// Open opens an input. What is read of a URL ends with ctx. The error is a usage error ([*stage.UsageError]) where the
// options make no sense, a [*stage.Error] of unpacking its beginning, one of [open.NewFileSource], one
// of [open.Source] where a packed file holds no memory image, a [*physmem.SourceError] of
// what a server says, or what the system says.
func Open(ctx context.Context, in Input, opt Options) (*Source, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	stage.Enter(opt.Progress, stage.Open)
	s := &Source{in: in, options: opt.Input, closing: opt.Closing}
	if opt.watch == nil {
		opt.watch = &watch{limits: opt.Limits}
	}
	if err := s.lay(ctx, &opt); err != nil {
		return nil, err
	}
	s.observe(&opt)
	if err := s.unpack(ctx, s.packing(), &opt); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// lay opens the bytes as they lie: the reader's, those behind the URL, or the file's.
func (s *Source) lay(ctx context.Context, opt *Options) error {
	switch {
	case s.in.src != nil:
		s.Source, s.file = s.in.src, s.in.src
		return nil
	case s.in.IsURL():
		return s.layURL(ctx, opt)
	}
	f, err := open.NewFileSource(s.in.path)
	if err != nil {
		return err
	}
	s.Source, s.file, s.closers = f, f, []io.Closer{f}
	return nil
}

// observe has the reads of the input counted, but of what was counted when it came.
func (s *Source) observe(opt *Options) {
	w := opt.watch
	if s.fetched {
		w = &watch{ctx: w.ctx}
	}
	s.watched = &watched{Source: s.file, watch: w, opt: opt}
	s.Source, s.file = s.watched, s.watched
}

// Image opens the memory image, of a packed file while that is unpacked, and waits for the
// end of that. The error is one of [open.Source], or of [Source.Wait].
func (s *Source) Image(ctx context.Context) (*physmem.Image, error) {
	defer s.watched.opened()
	im, err := open.Source(ctx, s.Source, s.options)
	if err = s.opened(err); err != nil {
		return nil, s.Blame(err)
	}
	return im, nil
}

// Transferred is how many bytes came over the network so far, 0 of what is here.
func (s *Source) Transferred() int64 {
	if s.network == nil {
		return 0
	}
	return s.network.Transferred()
}

// Blame is err, or why nothing more could be read of the network: what could not be read
// says nothing about the guest, and is no reason to call a file good.
func (s *Source) Blame(err error) error {
	if s.network == nil {
		return err
	}
	var failed *physmem.SourceError
	if why := s.network.Failure(); why != nil && !errors.As(err, &failed) {
		return &stage.Error{Stage: stage.Read, Err: &stage.FileError{Path: s.in.Path(), Err: why}}
	}
	return err
}

// Options say how the container is to be opened.
func (s *Source) Options() open.Options { return s.options }

// File is the input as it lies, packed if it is.
func (s *Source) File() physmem.Source { return s.file }

// Close closes and removes what was opened. Images can't be read afterwards.
func (s *Source) Close() error {
	var err error
	if s.closing != nil && s.file != nil {
		s.closing(s)
	}
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Packing implements [physmem.Packed].
func (s *Source) Packing() string { return physmem.Packing(s.Source) }

// Reach implements [physmem.Growing].
func (s *Source) Reach(n int64) int64 { return physmem.Reach(s.Source, n) }

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
		return in.Named(opening(err))
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	im, none := s.Image(ctx)
	if none != nil {
		err := or(s, none)
		if !errors.Is(err, none) {
			return err
		}
		return in.Named(opening(err))
	}
	if err := s.Blame(f(im)); err != nil {
		return in.Named(finding.NameDamage(im, err))
	}
	if err := im.ReadFailure(); err != nil {
		return in.Named(&stage.Error{Stage: stage.Read, Err: err})
	}
	return nil
}

// Named is an error about the input with its name. One of the output is about that, if
// it is not that the input could not be read.
func (in Input) Named(err error) error {
	var at *stage.Error
	var file *stage.FileError
	var usage *stage.UsageError
	var read *physmem.ReadError
	ofOutput := errors.As(err, &at) && slices.Contains([]stage.Stage{stage.Output, stage.Write, stage.Sync}, at.Stage) && !errors.As(err, &read)
	if err == nil || in.Path() == "" || ofOutput || errors.As(err, &file) || errors.As(err, &usage) {
		return err
	}
	return &stage.FileError{Path: in.Path(), Err: err}
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
