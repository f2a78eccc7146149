package source

import (
	"context"
	"errors"

	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// With opens path for f.
func With(ctx context.Context, path string, opt Options, f func(im *physmem.Image) error) (err error) {
	im, closeSource, err := Open(ctx, path, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	if err := f(im); err != nil {
		return err
	}
	if err := im.ReadFailure(); err != nil {
		return &stage.Error{Stage: stage.Read, Err: err}
	}
	return nil
}

// openInput opens the source as the options say.
func openInput(ctx context.Context, path string, opt open.Options) (*physmem.Image, error) {
	im, err := open.File(ctx, path, opt)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Open, Err: err}
	}
	return im, nil
}

// Open opens the source, unpacked first if need be. The function closes
// what was opened.
func Open(ctx context.Context, path string, opt Options) (*physmem.Image, func() error, error) {
	stage.Enter(opt.Progress, stage.Open)
	t, err := UnpackFile(ctx, path, opt.TempDir, func(size int64) *stage.Meter {
		return stage.NewMeter(stage.Unpack, size, 0, opt.Progress)
	})
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		im, err := openInput(ctx, path, opt.Input)
		if err != nil {
			return nil, nil, err
		}
		return im, im.Close, nil
	}
	im, err := open.Source(ctx, physmem.NewSource("", t, t.Size()), opt.Input)
	if err != nil {
		return nil, nil, &stage.Error{Stage: stage.Open, Err: errors.Join(err, t.Close())}
	}
	return im, t.Close, nil
}
