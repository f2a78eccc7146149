package source

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"windmp/convert/stage"
	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/migration"
	"windmp/physmem/open"
)

// packing is how a file's bytes are packed.
type packing struct {
	how pack.Method // pack.None of what is read as it lies
	at  int64       // where in the file it begins
	// head is what what is unpacked has in front.
	head []byte
}

// packing tells how the input is packed. A reader is taken as it is, unless it is a file, and so is a block
// device; what is wrong with a file, reading it says.
func (s *Source) packing() packing {
	if s.in.src != nil && !s.in.whole {
		return packing{how: pack.None}
	}
	if s.in.IsURL() || s.in.whole {
		return packingOf(s.file)
	}
	if st, err := os.Stat(s.in.path); err != nil || !st.Mode().IsRegular() {
		return packing{how: pack.None}
	}
	return packingOf(s.file)
}

// packingOf tells how a file is packed by its beginning.
func packingOf(file physmem.Source) packing {
	p := packing{how: pack.Recognise(file)}
	if p.how == pack.None {
		// What libvirt saves has a header in front of what it packed.
		var name string
		name, p.at, p.head = migration.Packing(file)
		p.how = pack.Method(name)
	}
	if !pack.Unpacks(p.how) || open.IsAFF4(file) {
		return packing{how: pack.None}
	}
	return p
}

// inPlace has what is packed read where it lies, if it can be read there at any offset.
func (s *Source) inPlace(ctx context.Context, p packing, opt *Options) (done bool, err error) {
	if p.how != pack.Zstd || p.at > 0 {
		return false, nil
	}
	f, err := pack.OpenFrames(ctx, s.file, s.file.Size(), pack.Options{Input: opt.Input, Beside: unpacked{file: s.file}})
	if f == nil {
		return false, err
	}
	s.closers = append([]io.Closer{f}, s.closers...) // it reads the file until it is closed
	s.Source = framed{unpacked{physmem.NewSource("", f, f.Size()), s.file, p.how}}
	return true, nil
}

// unpack has what is packed read where it lies, or begins to unpack it into a temporary
// file, which is read meanwhile.
func (s *Source) unpack(ctx context.Context, p packing, opt *Options) error {
	if p.how == pack.None {
		return nil
	}
	if done, err := s.inPlace(ctx, p, opt); done || err != nil {
		return err
	}
	packed, done := s.counted(p, opt)
	t, err := pack.Unpack(ctx, p.how, packed, pack.Options{
		Dir: opt.TempDir, Limit: opt.MaxUnpacked, Input: opt.Input, Beside: unpacked{file: s.file}, Front: p.head,
		Begin: func() error { return s.beginUnpacking(p.how) },
	})
	var byName *pack.ByNameError
	if errors.As(err, &byName) {
		t, err = s.unpackMember(ctx, p, opt, byName.Member, opt.MaxUnpacked)
	}
	if err != nil {
		done()
		return s.whyPacked(ctx, p, err)
	}
	s.closers = append([]io.Closer{t}, s.closers...) // it reads the file until it is closed
	s.unpacking = &unpacking{t, sync.OnceValue(func() error {
		defer done()
		return s.whyPacked(ctx, p, t.Wait())
	})}
	u := unpacked{t, s.file, p.how}
	s.Source = u
	if t.InArchive() {
		s.Source = archived{u, t, func(m *pack.Member) (physmem.Source, error) { return s.unpackBeside(ctx, p, *opt, t, m) }}
	}
	return nil
}

// whyPacked is an error of unpacking with its stage, or of what holds no memory image.
func (s *Source) whyPacked(ctx context.Context, p packing, err error) error {
	err = s.ofPacked(ctx, p, err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, physmem.ErrUnknownFormat), errors.Is(err, physmem.ErrUnsupported):
		return &stage.FileError{Path: s.in.Path(), Unpacked: true, Err: err}
	default:
		return s.Blame(&stage.Error{Stage: stage.Unpack, Err: &stage.FileError{Path: s.in.Path(), Err: err}})
	}
}

// unpacking is a file that is unpacked while it is read.
type unpacking struct {
	file *pack.File
	// end waits for the end, and says why that is too early.
	end func() error
}

// Wait waits until all of a packed file is unpacked. The error is one of unpacking; what
// is not unpacked is there at once.
func (s *Source) Wait() error {
	if s.unpacking == nil {
		return nil
	}
	return s.unpacking.end()
}

// opened is the error of opening an image, or of unpacking if that is why, or comes later:
// what was unpacked of a file that breaks off or is damaged is no image. What an opener
// says of a sound file waits for nothing.
func (s *Source) opened(err error) error {
	if s.unpacking == nil || ofSound(err) && !s.unpacking.file.Missed() {
		return err
	}
	if why := s.unpacking.end(); why != nil {
		return why
	}
	return err
}

// ofSound reports whether an error of opening says what a file is, not that something in
// it can't be right: that may be damage of what is packed, which its checksum shows.
func ofSound(err error) bool {
	return errors.Is(err, physmem.ErrUnknownFormat) || errors.Is(err, physmem.ErrUnsupported)
}

// counted are the packed bytes, whose reading is progress until done is called.
func (s *Source) counted(p packing, opt *Options) (packed *io.SectionReader, done func()) {
	m, done := opt.meter(stage.Unpack, s.file.Size()), func() {}
	if m != opt.Count {
		done = m.Finish
	}
	return io.NewSectionReader(&watchedReader{m.Reader(s.file), &s.readFailed}, p.at, s.file.Size()-p.at), done
}

// unpackMember unpacks a member of an archive.
func (s *Source) unpackMember(ctx context.Context, p packing, opt *Options, m *pack.Member, limit int64) (*pack.File, error) {
	packed, done := s.counted(p, opt)
	defer done()
	t, err := m.Unpack(ctx, p.how, packed, pack.Options{Dir: opt.TempDir, Limit: limit})
	var over *pack.LimitError
	if errors.As(err, &over) {
		err = &pack.LimitError{Limit: opt.MaxUnpacked}
	}
	return t, err
}

// unpackBeside unpacks a neighbour of a member of an archive. The limit holds for both.
func (s *Source) unpackBeside(ctx context.Context, p packing, opt Options, first *pack.File, m *pack.Member) (physmem.Source, error) {
	limit := opt.MaxUnpacked
	if limit > 0 {
		limit = max(limit-first.Written(), 1)
	}
	t, err := s.unpackMember(ctx, p, &opt, m, limit)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Unpack, Err: s.ofPacked(ctx, p, err)}
	}
	s.closers = append(s.closers, t)
	return t, nil
}

// beginUnpacking is told before what is packed is unpacked. Of an archive only a member
// may be read: there the limit is met where it is met.
func (s *Source) beginUnpacking(how pack.Method) error {
	size := s.file.Size()
	if how != pack.Zip && how != pack.Tar {
		if err := s.watched.watch.mayTake(size - min(size, s.watched.watch.read.Load())); err != nil {
			return err
		}
	}
	stage.Foretell(s.watched.opt.Whole, stage.Unpack, size)
	return nil
}
