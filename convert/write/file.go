package write

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/pack"
)

// ErrExists is wrapped when the output exists and Force is not set.
var ErrExists = atomicfile.ErrExists

// SpaceError says that the target's file system can't hold the output.
type SpaceError = atomicfile.SpaceError

// Check refuses an output that must not be written, before any work: the input
// itself (in is empty for one that is no file here), an existing file without force, anything but a file. The error is a
// [*stage.Error].
func Check(in, out string, force bool) error {
	if err := checkOutput(in, out, force); err != nil {
		return &stage.Error{Stage: stage.Output, Err: err}
	}
	return nil
}

func checkOutput(in, out string, force bool) error {
	if ext := pack.Unwritten(out); ext != "" {
		return &stage.UsageError{
			Reason: atomicfile.Quote(out) + " asks by its name for a packing that is not written (" + ext + ")",
			Hint:   "Name the output .dmp; .zst, .gz or .zip behind that have it packed",
		}
	}
	if dst, err := os.Stat(out); err == nil && in != "" {
		if src, err := os.Stat(in); err == nil && os.SameFile(src, dst) {
			return &stage.UsageError{Reason: "input and output are the same file: " + atomicfile.Quote(out), Hint: "Name another output"}
		}
	}
	return targetError(atomicfile.Check(out, force))
}

// targetError makes a usage error of a name that can't be the output's, for another
// reason than that it exists.
func targetError(err error) error {
	var target *atomicfile.TargetError
	if !errors.As(err, &target) || errors.Is(err, ErrExists) {
		return err
	}
	hint := "Name a file"
	switch {
	case errors.Is(err, atomicfile.ErrFolder):
		hint = "Name a file in it"
	case errors.Is(err, atomicfile.ErrNotRegular):
		hint = "Write to - to stream the dump"
	case errors.Is(err, atomicfile.ErrDanglingLink):
		hint = "Name that file, or remove the link"
	}
	return &stage.UsageError{Reason: "the output " + target.Error(), Hint: hint}
}

// File writes the output to a temporary file beside name, syncs it and gives it the
// name; if the name asks for it, packed. On any error, or when ctx is done, nothing
// is left behind. What killed runs left of the same output is removed first, where
// that is certain (see docs/design.md), and their paths are returned, with an error
// too. A symbolic link stays, and the file that it leads to is replaced. The error
// is a [*stage.Error].
func File(ctx context.Context, name string, o Output, opt Options) (leftovers []string, err error) {
	if name == "" {
		return nil, &stage.Error{Stage: stage.Output, Err: &stage.UsageError{Reason: "the output has no name", Hint: "Name a file"}}
	}
	tmp, leftovers, err := atomicfile.Create(name)
	if err != nil {
		return leftovers, &stage.Error{Stage: stage.Output, Err: targetError(err)}
	}
	if opt.Sparse != SparseAlways && pack.MethodOf(name) == pack.None {
		if err := atomicfile.CheckSpace(tmp.Folder(), o.space(opt.Sparse)); err != nil {
			return leftovers, errors.Join(&stage.Error{Stage: stage.Output, Err: &stage.FileError{Path: name, Err: err}}, tmp.Discard())
		}
	}
	return leftovers, o.complete(ctx, tmp, name, &opt)
}

// Stored is the size of a file that was written, and what it takes up on the disk,
// without its holes; 0 for what the system does not tell.
func Stored(name string) (size, onDisk int64) {
	st, err := os.Stat(name)
	if err != nil {
		return 0, 0
	}
	return st.Size(), atomicfile.Allocated(st)
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
	InMemory() bool
}

// complete makes tmp the file of that name, or removes it.
func (o *Output) complete(ctx context.Context, tmp partFile, name string, opt *Options) error {
	if err := o.publish(ctx, tmp, name, opt); err != nil {
		return errors.Join(err, tmp.Discard())
	}
	if opt.NoSync {
		return nil
	}
	if err := tmp.SyncFolder(); err != nil {
		return &stage.Error{Stage: stage.Sync, Err: fmt.Errorf("the dump is complete, its folder may not be on disk: %w", err)}
	}
	return nil
}

// publish fills tmp and gives it its name.
func (o *Output) publish(ctx context.Context, tmp partFile, name string, opt *Options) error {
	if err := o.fillFile(ctx, tmp, name, opt); err != nil {
		var call *os.SyscallError // which does not say of which file
		if errors.As(err, &call) {
			err = &stage.FileError{Path: name, Err: err}
		}
		return &stage.Error{Stage: stage.Write, Err: err}
	}
	if err := opt.complete(); err != nil {
		return err
	}
	if !opt.NoSync {
		stage.Enter(opt.Progress, stage.Sync)
		if err := tmp.Sync(); err != nil {
			return &stage.Error{Stage: stage.Sync, Err: err}
		}
	}
	if err := tmp.Close(); err != nil {
		return &stage.Error{Stage: stage.Write, Err: err}
	}
	if ctx.Err() != nil {
		return &stage.Error{Stage: stage.Write, Err: context.Cause(ctx)}
	}
	err := tmp.Publish(opt.Force)
	if errors.Is(err, ErrExists) {
		err = fmt.Errorf("%w, it appeared while the dump was written", err)
	}
	if err != nil {
		return &stage.Error{Stage: stage.Output, Err: targetError(err)}
	}
	return nil
}

// fillFile writes the output, packed if the name asks for it.
func (o *Output) fillFile(ctx context.Context, tmp partFile, name string, opt *Options) error {
	if pack.MethodOf(name) != pack.None {
		return o.packed(ctx, tmp, name, opt)
	}
	grain := opt.Sparse.grain()
	if grain > 0 {
		atomicfile.AllowHoles(tmp)
	}
	if err := o.plain(ctx, tmp, grain, opt); err != nil {
		return err
	}
	// What was not written reads as zeros, also at the end. Not done before: ext4
	// was seen to take several times as long for writes below the end of a file.
	return tmp.Truncate(o.Layout.Size())
}

// plain writes the blocks into the file: past the holes, and on to the disk early, or
// into its memory if it lies there.
func (o *Output) plain(ctx context.Context, tmp partFile, grain int, opt *Options) (err error) {
	workers, mapped := opt.copying(tmp.InMemory(), runtime.GOMAXPROCS(0))
	w := atomicfile.Reserve(tmp)
	if mapped {
		if m, err := atomicfile.Map(tmp, o.Layout.Size()); err == nil {
			defer func() { err = errors.Join(err, m.Close()) }()
			w = m
		}
	}
	if !opt.NoSync {
		early, end := atomicfile.WriteEarly(tmp, w)
		defer end()
		w = early
	}
	if grain > 0 {
		w = atomicfile.NewHoleWriter(w, grain)
	}
	copied := *opt
	copied.Workers = workers
	return o.copyBlocks(ctx, w, grain > 0, &copied)
}

// packed streams the output through a packer into w. name is the file's, of which a
// zip takes the dump's name.
func (o *Output) packed(ctx context.Context, w io.Writer, name string, opt *Options) error {
	packer, err := pack.NewWriter(summed(w, opt.Sum), name)
	if err != nil {
		return err
	}
	err = o.stream(ctx, packer, opt)
	// After an error Close ends the packer's goroutines, and says it once more.
	if cerr := packer.Close(); err == nil {
		err = cerr
	}
	return err
}
