package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"windmp/convert"
	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
)

// A Folder is what a source can be converted to. Its methods may be called by several
// goroutines at once.
type Folder struct {
	opt   *Options
	image *physmem.Image
	guest *guest.Guest // under plans, once there are files
	in    source.Input

	dumps  []*File
	report *File

	ctx     context.Context // of what is made while the folder is open
	gate    sync.RWMutex    // of closed
	closed  bool
	running sync.WaitGroup
	plans   sync.Mutex // one dump is planned at a time

	failed  atomic.Pointer[error] // of the first read that failed
	damaged atomic.Bool           // met, and not known to the guest
}

// errClosed is for who comes too late.
var errClosed = errors.New("the folder is closed")

// With opens an input, finds its guest and gives the folder to use, which must not keep
// it. What is being made ends with ctx. The errors are that of use, and those of a
// conversion before it writes; and a [*stage.Error] where use had none but a read of a
// file has failed.
//
// A container that compresses memory may have pages that can't be decoded, which only
// reading tells. Where gaps are accepted, all of them are looked for first, as for a
// stream. Else reading them is an error, and a dump of which that was read is what it is
// for a conversion from then on: refused.
func With(ctx context.Context, in source.Input, opt Options, use func(*Folder) error) error {
	if err := opt.Validate(); err != nil {
		return err
	}
	opt.Source.Progress, opt.Guest.Progress = opt.Progress, opt.Progress
	// The look ends with a source that refuses to be read, a folder waits for a better time.
	return source.With(ctx, in, opt.Source, func(_ context.Context, s *source.Source) error {
		im, err := s.Image(ctx)
		if err != nil {
			return err
		}
		f := newFolder(ctx, im, in, &opt)
		defer f.close()
		if err := f.find(); err != nil {
			return err
		}
		opt.Guest.Progress = nil // what is made from now on is made for its reader
		if err := f.makeEarly(); err != nil {
			return err
		}
		if err := use(f); err != nil {
			return err
		}
		if failed := f.failed.Load(); failed != nil {
			return &stage.Error{Stage: stage.Read, Err: *failed}
		}
		return nil
	})
}

// find looks for the guest: in memory without what can't be decoded if that matters.
func (f *Folder) find() (err error) {
	if !convert.SoundFirst(f.opt.Plan.Missing, true) {
		f.guest, err = guest.Find(f.ctx, f.image, f.opt.Guest)
		if err == nil || !f.image.MetDamage() || f.ctx.Err() != nil {
			return err
		}
	}
	return f.findSound()
}

// findSound looks for the guest in memory without what can't be decoded.
func (f *Folder) findSound() error {
	sound, err := convert.Sound(f.ctx, f.image, f.opt.Source.Whole)
	if err != nil {
		return err
	}
	g, err := guest.Find(f.ctx, sound, f.opt.Guest)
	if err != nil {
		return finding.NameDamage(sound, err)
	}
	f.guest = g
	return nil
}

// current is the guest of the next plan, which has the lock of plans: without what can't
// be decoded once that mattered.
func (f *Folder) current() (*guest.Guest, error) {
	if f.damaged.Swap(false) {
		if err := f.findSound(); err != nil {
			f.damaged.Store(true)
			return nil, err
		}
	}
	return f.guest, nil
}

// newFolder makes a folder in which nothing is made yet.
func newFolder(ctx context.Context, im *physmem.Image, in source.Input, opt *Options) *Folder {
	f := &Folder{ctx: ctx, opt: opt, image: im, in: in}
	for i := range kinds {
		f.dumps = append(f.dumps, &File{folder: f, name: kinds[i].name, make: f.planner(&kinds[i])})
	}
	f.report = &File{folder: f, name: reportName, make: f.makeReport}
	return f
}

// makeEarly makes what costs no more than finding the guest did. What is refused says so
// where it is looked for.
func (f *Folder) makeEarly() error {
	for i, d := range f.dumps {
		if !kinds[i].early {
			continue
		}
		if _, err := d.Open(f.ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// start runs what makes a file, unless the folder is closed.
func (f *Folder) start(work func()) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	if f.closed {
		return errClosed
	}
	f.running.Go(work)
	return nil
}

// close waits for what is being made.
func (f *Folder) close() {
	f.gate.Lock()
	f.closed = true
	f.gate.Unlock()
	f.running.Wait()
	for _, d := range f.dumps {
		d.close()
	}
}

// Files are those of the folder, in the order in which they are listed, without those
// of which it is known that there are none.
func (f *Folder) Files() []*File {
	list := make([]*File, 0, len(kinds)+1)
	for _, d := range f.dumps {
		if !d.absent() {
			list = append(list, d)
		}
	}
	return append(list, f.report)
}

// Find is the file of that name, nil if there is none. Whether one can be made is said
// by [File.Open].
func (f *Folder) Find(name string) *File {
	for _, x := range f.Files() {
		if x.name == name {
			return x
		}
	}
	return nil
}

// tryAgain has what failed forgotten, unless a dump is being planned: what fails meanwhile
// must be known when that is judged.
func (f *Folder) tryAgain() {
	if f.plans.TryLock() {
		defer f.plans.Unlock()
		f.image.TryAgain()
	}
}

// planner makes a dump of a kind. What fails for damage is planned again without it, as a
// conversion does.
func (f *Folder) planner(k *kind) func() *made {
	return func() *made {
		f.plans.Lock()
		defer f.plans.Unlock()
		f.image.TryAgain() // what failed for the plan before, or for who reads a dump
		m := f.plan(k)
		if m.err != nil && f.guest.Image().MetDamage() && f.ctx.Err() == nil {
			f.damaged.Store(true)
			m = f.plan(k)
		}
		return m
	}
}

// plan plans a dump of a kind.
func (f *Folder) plan(k *kind) *made {
	g, err := f.current()
	if err != nil {
		return &made{err: err}
	}
	r := report.New(f.in.Path(), k.name, true)
	r.DescribeImage(g.Image())
	identity.Describe(r, g)
	opt := &convert.Options{Guest: f.opt.Guest, Plan: k.options(f.opt.Plan)}
	p, err := convert.Prepare(f.ctx, r, g, opt)
	err = finding.NameDamage(g.Image(), err)
	m := &made{report: r}
	if err == nil {
		m.content, err = dump.NewView(p.Layout(), p.Memory())
	}
	r.Finish(f.in.Named(err))
	m.settle(err)
	return m
}

// makeReport makes the report, and for that all dumps.
func (f *Folder) makeReport() *made {
	r := &report.Folder{Files: []report.FolderFile{}}
	for _, d := range f.dumps {
		m, err := d.await(f.ctx)
		if err == nil && !m.final {
			err = m.err
		}
		if err != nil {
			return &made{err: fmt.Errorf("%s: %w", d.name, err)}
		}
		r.Files = append(r.Files, report.FolderFile{Name: d.name, Present: m.content != nil, Report: m.report})
	}
	text, err := f.opt.document(r)
	return &made{content: bytes.NewReader(text), err: err, final: err == nil}
}

// spoilt is for a dump of which damage was read: it is made anew for who opens it next, and
// so is the report.
func (f *Folder) spoilt(file *File) {
	f.damaged.Store(true)
	file.forget()
	f.report.forget()
}

// note remembers a read that failed.
func (f *Folder) note(file *File, err error) {
	if f.ctx.Err() != nil {
		return // the folder is about to be closed
	}
	named := fmt.Errorf("%s: %w", file.name, err)
	f.failed.CompareAndSwap(nil, &named)
	if f.opt.Failed != nil {
		file.failed.Do(func() { f.opt.Failed(file.name, err) })
	}
}
