//go:build !js

package source

import (
	"context"
	"errors"

	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/binio"
	"windmp/internal/pack"
	"windmp/internal/remote"
	"windmp/physmem"
	"windmp/physmem/open"
)

func isURL(name string) bool   { return remote.IsURL(name) }
func shownURL(u string) string { return remote.Redact(u) }
func nameOf(u string) string   { return remote.Name(u) }

// layURL opens the bytes behind a URL.
func (s *Source) layURL(ctx context.Context, opt *Options) error {
	web := remote.Options{Header: opt.Web.Header, Cache: opt.Web.Cache}
	if again := opt.Web.Again; again != nil {
		web.Again = func(err error) { again(s.in.Path(), err) }
	}
	r, err := remote.Open(ctx, s.in.url, web)
	var none *remote.NoRangesError
	switch {
	case errors.As(err, &none) && opt.Web.Download:
		return s.download(ctx, web, none.Size, opt)
	case errors.As(err, &none):
		return &physmem.UnsupportedError{
			What: "on a server that sends it only whole, not in parts" + ofSize(none.Size),
			Hint: "download it first, or allow it to be fetched whole to a temporary file", Unread: true,
		}
	case err != nil:
		return err
	}
	s.Source, s.file, s.network = r, r, r
	s.closers = append(s.closers, r)
	return nil
}

// ofSize says a size that is known.
func ofSize(n int64) string {
	if n < 0 {
		return ""
	}
	return " (" + binio.Bytes(n) + ")"
}

// download fetches all of the file to a temporary one.
func (s *Source) download(ctx context.Context, web remote.Options, size int64, opt *Options) error {
	if err := opt.watch.mayTake(size); err != nil {
		return &stage.Error{Stage: stage.Unpack, Err: err}
	}
	if opt.Whole != nil {
		opt.Whole(stage.Whole{Stage: stage.Unpack, Fetched: true, Bytes: size})
	}
	t, err := atomicfile.CreateUnnamed(opt.TempDir, "downloaded")
	if err != nil {
		return &stage.Error{Stage: stage.Unpack, Err: err}
	}
	s.closers = append(s.closers, t)
	if size > 0 {
		err = atomicfile.CheckSpace(t.Folder(), size)
	}
	if err == nil {
		m := stage.NewMeter(stage.Unpack, max(size, 0), 0, opt.Progress)
		w := &downloaded{watch: opt.watch, file: t, limit: opt.MaxUnpacked, meter: m, grows: size < 0}
		_, err = remote.Download(ctx, s.in.url, web, w)
		s.network = w
		m.Finish()
	}
	if err != nil {
		return errors.Join(&stage.Error{Stage: stage.Unpack, Err: err}, s.Close())
	}
	f, err := open.NewFile(t.File)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	s.file = physmem.NewSource(s.in.Name(), f, f.Size())
	s.Source, s.fetched = s.file, true
	return nil
}

// downloaded is a file that is fetched whole.
type downloaded struct {
	watch    *watch
	file     *atomicfile.Unnamed
	limit, n int64
	meter    *stage.Meter
	grows    bool // it was not known how much there is
}

// Write implements io.Writer.
func (d *downloaded) Write(p []byte) (int, error) {
	if err := d.watch.take(len(p)); err != nil {
		return 0, err
	}
	if d.n += int64(len(p)); d.limit > 0 && d.n > d.limit {
		return 0, &pack.LimitError{Limit: d.limit}
	}
	if d.grows {
		d.meter.Grow(int64(len(p)))
	}
	d.meter.Add(len(p))
	return d.file.Write(p)
}

// Transferred implements network.
func (d *downloaded) Transferred() int64 { return d.n }

// Failure implements network: all is there.
func (d *downloaded) Failure() error { return nil }
