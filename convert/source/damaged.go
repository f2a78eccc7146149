package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"

	"windmp/internal/atomicfile"
	"windmp/internal/pack"
	"windmp/physmem"
)

// ofPacked is an error of unpacking: packed data that end too early are a file that is
// cut, and those that can't be unpacked one that is damaged. What the system, a limit or
// the reading of the file says stays as it is.
func (s *Source) ofPacked(ctx context.Context, p packing, err error) error {
	cut := errors.Is(err, pack.ErrCut)
	if err == nil || ctx.Err() != nil || !cut && (s.readFailed.Load() || !ofData(err)) {
		return err
	}
	size := s.file.Size()
	e := &physmem.FormatError{Format: physmem.Format(p.how), Offset: size, Field: pack.Data, Err: err, Hint: physmem.HintDamaged}
	if cut {
		e.Err, e.Reason, e.Hint = nil, "it ends too early", physmem.HintIncomplete
		e.Cut = &physmem.Cut{Size: uint64(size)} //nolint:gosec // a size
	}
	return e
}

// ofData tells whether an error of unpacking is about the data: not about what is in
// them, the folder that they are unpacked to, or a limit.
func ofData(err error) bool {
	var path *fs.PathError
	var folder *atomicfile.FolderError
	var space *atomicfile.SpaceError
	var limit *pack.LimitError
	return !errors.Is(err, physmem.ErrUnknownFormat) && !errors.Is(err, physmem.ErrUnsupported) &&
		!errors.As(err, &path) && !errors.As(err, &folder) && !errors.As(err, &space) && !errors.As(err, &limit)
}

// A watchedReader notes that a read failed otherwise than by coming to the end.
type watchedReader struct {
	r      io.ReaderAt
	failed *atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (w *watchedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed.Store(true)
	}
	return n, err
}
