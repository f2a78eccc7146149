package write

import (
	"context"
	"errors"
	"fmt"
	"io"

	"windmp/convert/dump"
	"windmp/internal/atomicfile"
)

// Step is a part of the writing of a file.
type Step string

// The steps.
const (
	// StepOutput is about the file's name and its place, before and after.
	StepOutput Step = "output"
	// StepWrite is the copy.
	StepWrite Step = "write"
	// StepSync brings it to the disk.
	StepSync Step = "sync"
)

// Error says in which step the writing ended; Err is the cause.
type Error struct {
	Step Step
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// File writes a layout to a temporary file beside name, syncs it and gives it the
// name. On any error, or when ctx is done, nothing is left behind. What killed
// runs left of the same output is removed first, and their paths are returned,
// with an error too. A symbolic link stays, and the file that it leads to is
// replaced. The error is an [*Error], of an atomicfile's cause where its name can't
// be had.
func File(ctx context.Context, name string, l dump.Layout, m Memory, opt Options) (leftovers []string, err error) {
	tmp, leftovers, err := atomicfile.Create(name)
	if err != nil {
		return leftovers, &Error{StepOutput, err}
	}
	if opt.Need > 0 {
		if err := atomicfile.CheckSpace(tmp.Folder(), opt.Need); err != nil {
			return leftovers, errors.Join(&Error{StepOutput, err}, tmp.Discard())
		}
	}
	return leftovers, complete(ctx, tmp, l, m, &opt)
}

// partFile is an unfinished file, an [atomicfile.File]; tests put one in its place
// that fails.
type partFile interface {
	atomicfile.Writable
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
	Publish(replace bool) error
	SyncFolder() error
	Discard() error
}

// complete makes tmp the output, or removes it.
func complete(ctx context.Context, tmp partFile, l dump.Layout, m Memory, opt *Options) error {
	if err := publish(ctx, tmp, l, m, opt); err != nil {
		return errors.Join(err, tmp.Discard())
	}
	if opt.NoSync {
		return nil
	}
	if err := tmp.SyncFolder(); err != nil {
		return &Error{StepSync, fmt.Errorf("the dump is complete, its folder may not be on disk: %w", err)}
	}
	return nil
}

// publish fills tmp and gives it its name.
func publish(ctx context.Context, tmp partFile, l dump.Layout, m Memory, opt *Options) error {
	if err := fillFile(ctx, tmp, l, m, opt); err != nil {
		return &Error{StepWrite, err}
	}
	if !opt.NoSync {
		if opt.Syncing != nil {
			opt.Syncing()
		}
		if err := tmp.Sync(); err != nil {
			return &Error{StepSync, err}
		}
	}
	if err := tmp.Close(); err != nil {
		return &Error{StepWrite, err}
	}
	if ctx.Err() != nil {
		return &Error{StepWrite, context.Cause(ctx)}
	}
	err := tmp.Publish(opt.Replace)
	if errors.Is(err, atomicfile.ErrExists) {
		err = fmt.Errorf("%w appeared while the dump was written", err)
	}
	if err != nil {
		return &Error{StepOutput, err}
	}
	return nil
}

// fillFile writes the layout, packed if so asked.
func fillFile(ctx context.Context, tmp partFile, l dump.Layout, m Memory, opt *Options) error {
	if opt.Pack != nil {
		return packed(ctx, tmp, l, m, opt)
	}
	grain := opt.Sparse.grain()
	if grain > 0 {
		atomicfile.AllowHoles(tmp)
	}
	if err := plain(ctx, tmp, l, m, grain, opt); err != nil {
		return err
	}
	// What was not written reads as zeros, also at the end. Not done before: ext4
	// was seen to take several times as long for writes below the end of a file.
	return tmp.Truncate(l.Size())
}

// plain writes the blocks into the file: past the holes, and on to the disk early.
func plain(ctx context.Context, tmp partFile, l dump.Layout, m Memory, grain int, opt *Options) error {
	var w io.WriterAt = tmp
	if !opt.NoSync {
		early, end := atomicfile.WriteEarly(tmp)
		defer end()
		w = early
	}
	if grain > 0 {
		w = atomicfile.NewHoleWriter(w, grain)
	}
	return copyBlocks(ctx, w, l, m, grain > 0, opt)
}

// packed streams the layout through a packer.
func packed(ctx context.Context, w io.Writer, l dump.Layout, m Memory, opt *Options) error {
	packer, err := opt.Pack(w)
	if err != nil {
		return err
	}
	err = Stream(ctx, packer, l, m, *opt)
	// After an error Close ends the packer's goroutines, and says it once more.
	if cerr := packer.Close(); err == nil {
		err = cerr
	}
	return err
}
