package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/pack"
)

// ErrExists is wrapped when the output exists and Force is not set.
var ErrExists = atomicfile.ErrExists

// SpaceError says that the target's file system can't hold the output.
type SpaceError = atomicfile.SpaceError

// checkOutput refuses an output that must not be written, before any work:
// the input itself, an existing file without force, anything but a file.
func CheckOutput(in, out string, force bool) error {
	if dst, err := os.Stat(out); err == nil {
		src, err := os.Stat(in)
		if err != nil {
			return err
		}
		if os.SameFile(src, dst) {
			return &stage.UsageError{Reason: fmt.Sprintf("input and output are the same file: %s", finding.Quote(out)), Hint: "name another output"}
		}
	}
	return targetError(atomicfile.Check(out, force))
}

// targetError makes a usage error of a name that can't be the output's.
func targetError(err error) error {
	var target *atomicfile.TargetError
	if !errors.As(err, &target) {
		return err
	}
	hint := "name a file"
	switch {
	case errors.Is(err, atomicfile.ErrNotRegular):
		hint = "write to - to stream the dump"
	case errors.Is(err, atomicfile.ErrDanglingLink):
		hint = "name that file, or remove the link"
	}
	return &stage.UsageError{Reason: "output " + target.Error(), Hint: hint}
}

// WriteFile writes the dump to a temporary file beside out, syncs it and
// renames it. On any error, or when ctx is done, nothing is left behind. What
// a killed run left of the same output is removed first, where that is certain
// (see docs/design.md). A symbolic link stays, and the file that it leads to is
// replaced. The error is a [*StageError].
func (p *Plan) WriteFile(ctx context.Context, out string, opt WriteOptions) error {
	if err := p.Readable(); err != nil {
		return err
	}
	if out == "" {
		return &stage.Error{Stage: stage.Output, Err: &stage.UsageError{Reason: "the output has no name", Hint: "name a file"}}
	}
	tmp, leftovers, err := atomicfile.Create(out)
	for _, name := range leftovers {
		p.Addf(finding.IDLeftover, finding.SeverityInfo, "", "", "%s was left by a run that was killed, and is removed", finding.Quote(name))
	}
	if err != nil {
		return &stage.Error{Stage: stage.Output, Err: targetError(err)}
	}
	if opt.Sparse != SparseAlways && pack.MethodOf(out) == pack.None {
		if err := atomicfile.CheckSpace(tmp.Folder(), p.spaceNeeded(opt)); err != nil {
			return errors.Join(&stage.Error{Stage: stage.Output, Err: err}, tmp.Discard())
		}
	}
	return p.writeTemp(ctx, tmp, out, opt)
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

// writeTemp makes tmp the output out, or removes it.
func (p *Plan) writeTemp(ctx context.Context, tmp partFile, out string, opt WriteOptions) error {
	if err := p.finishFile(ctx, tmp, out, opt); err != nil {
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

// finishFile fills tmp and gives it its final name.
func (p *Plan) finishFile(ctx context.Context, tmp partFile, out string, opt WriteOptions) error {
	if err := p.fillFile(ctx, tmp, out, opt); err != nil {
		return &stage.Error{Stage: stage.Write, Err: err}
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
	if err := ctx.Err(); err != nil {
		return &stage.Error{Stage: stage.Write, Err: context.Cause(ctx)}
	}
	err := tmp.Publish(opt.Force)
	if errors.Is(err, ErrExists) {
		err = fmt.Errorf("%w appeared while the dump was written", err)
	}
	if err != nil {
		return &stage.Error{Stage: stage.Output, Err: targetError(err)}
	}
	return nil
}

// fillFile writes the dump, packed if out's name asks for it.
func (p *Plan) fillFile(ctx context.Context, tmp partFile, out string, opt WriteOptions) error {
	if pack.MethodOf(out) != pack.None {
		return p.writePacked(ctx, tmp, out, opt)
	}
	if opt.Sparse.Grain() > 0 {
		atomicfile.AllowHoles(tmp)
	}
	if err := p.fillPlain(ctx, tmp, opt); err != nil {
		return err
	}
	// What was not written reads as zeros, also at the end. Not done before: ext4
	// was seen to take several times as long for writes below the end of a file.
	return tmp.Truncate(p.Size)
}

// fillPlain writes the blocks into the file: past the holes, and on to the disk
// early.
func (p *Plan) fillPlain(ctx context.Context, tmp partFile, opt WriteOptions) error {
	var w io.WriterAt = tmp
	if !opt.NoSync {
		early, end := atomicfile.WriteEarly(tmp)
		defer end()
		w = early
	}
	if grain := opt.Sparse.Grain(); grain > 0 {
		w = atomicfile.NewHoleWriter(w, grain)
	}
	return p.writeAll(ctx, w, opt)
}
