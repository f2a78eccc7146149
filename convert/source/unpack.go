package source

import (
	"context"
	"io"
	"os"

	"windmp/convert/stage"
	"windmp/internal/pack"
)

// UnpackFile unpacks a packed file into a temporary file of dir. It returns nil
// when the file is not packed; of one that is, start gets the size and returns
// what counts its bytes. The error is a [*stage.Error].
func UnpackFile(ctx context.Context, path, dir string, start func(size int64) *stage.Meter) (*pack.File, error) {
	// What is no regular file (a FIFO would wait for a writer) is physmem's to
	// judge.
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil //nolint:nilnil,nilerr // documented: nothing to unpack
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Open, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	how := pack.Recognise(f)
	if how == pack.None {
		return nil, nil //nolint:nilnil // documented: nothing to unpack
	}
	m := start(st.Size())
	t, err := pack.Unpack(ctx, how, io.NewSectionReader(m.Reader(f), 0, st.Size()), dir)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Unpack, Err: err}
	}
	m.Finish()
	return t, nil
}
