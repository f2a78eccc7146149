package convert

import (
	"context"
	"errors"

	"windmp/physmem"
)

// withImage opens path for f.
func withImage(ctx context.Context, path string, opt SourceOptions, f func(im *physmem.Image) error) (err error) {
	im, closeSource, err := openSource(ctx, path, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	if err := f(im); err != nil {
		return err
	}
	if err := im.ReadFailure(); err != nil {
		return &StageError{Stage: StageRead, Err: err}
	}
	return nil
}

// openInput opens the source as the options say.
func openInput(path string, opt physmem.Options) (*physmem.Image, error) {
	im, err := physmem.OpenWith(path, opt)
	if err != nil {
		return nil, &StageError{Stage: StageOpen, Err: err}
	}
	return im, nil
}

// openSource opens the source, unpacked first if need be. The function closes
// what was opened.
func openSource(ctx context.Context, path string, opt SourceOptions) (*physmem.Image, func() error, error) {
	enter(opt.Progress, StageOpen)
	t, err := unpackFile(ctx, path, opt.TempDir, func(size int64) *meter {
		return newMeter(StageUnpack, size, 0, opt.Progress)
	})
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		im, err := openInput(path, opt.Input)
		if err != nil {
			return nil, nil, err
		}
		return im, im.Close, nil
	}
	im, err := physmem.NewWith(t, t.size, opt.Input)
	if err != nil {
		return nil, nil, &StageError{Stage: StageOpen, Err: errors.Join(err, t.Close())}
	}
	return im, t.Close, nil
}
