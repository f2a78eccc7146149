package convert

import (
	"context"
	"errors"
	"io"
	"os"

	"windmp/internal/pack"
	"windmp/physmem"
)

// openSource opens the source, unpacked first if need be. The function closes
// what was opened.
func openSource(ctx context.Context, path string, opt Options) (*physmem.Image, func() error, error) {
	opt.enter(StageOpen)
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
	im, err := physmem.NewWith(t, t.Size(), opt.Input)
	if err != nil {
		return nil, nil, &StageError{Stage: StageOpen, Err: errors.Join(err, t.Close())}
	}
	return im, t.Close, nil
}

// unpackFile unpacks a packed file into a temporary file of dir. It returns nil when the file is not packed; of
// one that is, start gets the size and returns what counts its bytes. The error
// is a [*StageError].
func unpackFile(ctx context.Context, path, dir string, start func(size int64) *meter) (*pack.File, error) {
	// What is no regular file (a FIFO would wait for a writer) is physmem's to
	// judge.
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil //nolint:nilnil,nilerr // documented: nothing to unpack
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &StageError{Stage: StageOpen, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	how := pack.Recognise(f)
	if how == pack.None {
		return nil, nil //nolint:nilnil // documented: nothing to unpack
	}
	m := start(st.Size())
	t, err := pack.Unpack(ctx, how, io.NewSectionReader(m.reader(f), 0, st.Size()), dir)
	if err != nil {
		return nil, &StageError{Stage: StageUnpack, Err: err}
	}
	m.finish()
	return t, nil
}
