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
	unpacking *unpacking         // nil of what is read as it lies
	image     *physmem.Image     // nil before it was opened
	stop      context.CancelFunc // of a look that began with Open, else nil
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
	if opt.watch == nil { // it is a look of its own
		_, s.stop = opt.Begin(ctx)
		ctx = opt.watch.ctx
	}
	if err := s.lay(ctx, &opt); err != nil {
		s.endLook()
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
		w = &watch{limits: Limits{Timeout: w.limits.Timeout}, ctx: w.ctx}
	}
	s.watched = newWatched(s.file, w, opt)
	s.Source, s.file = s.watched, s.watched
}

// Image opens the memory image, of a packed file while that is unpacked, and waits for the
// end of that. The error is a [*stage.Error] with one of [open.Source], or of [Source.Wait].
func (s *Source) Image(ctx context.Context) (*physmem.Image, error) {
	defer s.watched.opened()
	im, err := open.Source(ctx, s.Source, s.options)
	if err = s.opened(err); err != nil {
		return nil, opening(s.Blame(err))
	}
	s.image = im
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

// endLook frees the timer of a look that began with Open.
func (s *Source) endLook() {
	if s.stop != nil {
		s.stop()
	}
}

// Close closes and removes what was opened. Images can't be read afterwards.
func (s *Source) Close() error {
	var err error
	defer s.endLook()
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

// With opens an input for f, to which [Source.Image] gives the memory, and closes it. The
// limits of opt are those of all that f does: its context ends with them, and with a source
// of which nothing more comes. A read of the image that failed is an error in any case. The
// error is that of f, a [*stage.UsageError], or a [*stage.Error]; in it a [*LimitError]
// where a limit was met.
func With(ctx context.Context, in Input, opt Options, f func(ctx context.Context, s *Source) error) error {
	look, stop := opt.Begin(ctx)
	defer stop()
	s, err := Open(opt.watch.ctx, in, opt)
	if err == nil {
		err = errors.Join(s.ended(f(look, s)), s.Close())
	} else {
		err = opening(err)
	}
	if over := opt.Over(); over != nil && (err != nil || opt.watch.over.Load() != nil) {
		err = &stage.Error{Stage: stage.Read, Err: over}
	}
	return in.Named(err)
}

// ended is what err, of who used the source, is with all that is known of it now.
func (s *Source) ended(err error) error {
	switch {
	case s.image == nil:
		return err
	case err != nil:
		return finding.NameDamage(s.image, s.Blame(err))
	}
	if err := s.image.ReadFailure(); err != nil {
		return &stage.Error{Stage: stage.Read, Err: err}
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
