package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// outputMode is the file mode of a dump: it holds the guest's secrets.
const outputMode = 0o600

// ErrExists is wrapped when the output exists and Force is not set.
var ErrExists = errors.New("output exists")

// checkOutput refuses an output that must not be written, before any work:
// the input itself, an existing file without force, anything but a file.
func checkOutput(in, out string, force bool) error {
	if err := checkOutputName(out); err != nil {
		return err
	}
	if _, err := linkTarget(out); err != nil {
		return err
	}
	dst, err := os.Stat(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	src, err := os.Stat(in)
	if err != nil {
		return err
	}
	if os.SameFile(src, dst) {
		return &UsageError{Reason: fmt.Sprintf("input and output are the same file: %s", quote(out)), Hint: "name another output"}
	}
	if !dst.Mode().IsRegular() {
		return &UsageError{Reason: fmt.Sprintf("output %s is not a regular file", quote(out)), Hint: "write to - to stream the dump"}
	}
	if !force {
		return fmt.Errorf("%w: %s (use --force to replace it)", ErrExists, quote(out))
	}
	return checkReplace(out)
}

// linkTarget is the file that out is or leads to: replacing a symbolic link would
// leave the old file where it is, and put the dump on the disk that the link was
// to keep it from. A link to nothing is refused, as cp does: whoever made it
// chooses what appears there.
func linkTarget(out string) (string, error) {
	if st, err := os.Lstat(out); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		return out, nil //nolint:nilerr // what is not there can be created
	}
	_, err := os.Stat(out)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &UsageError{Reason: fmt.Sprintf("output %s is a symbolic link to a file that does not exist", quote(out)), Hint: "name that file, or remove the link"}
	}
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(out)
}

// SpaceError says that the target's file system can't hold the output.
type SpaceError struct {
	Dir        string
	Need, Free uint64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("not enough space in %s: %#x bytes are needed, %#x are free", quote(e.Dir), e.Need, e.Free)
}

// checkSpace compares the output's size with what an unprivileged user may
// still write. Where the system does not tell, it allows the attempt.
func checkSpace(dir string, need int64) error {
	free, err := freeSpace(dir)
	if err != nil || need < 0 || uint64(need) <= free {
		return nil //nolint:nilerr // not knowing is no reason to refuse
	}
	return &SpaceError{Dir: dir, Need: uint64(need), Free: free}
}

// WriteFile writes the dump to a temporary file beside out, syncs it and
// renames it. On any error, or when ctx is done, nothing is left behind. What
// a killed run left of the same output is removed first, where that is certain
// (see docs/design.md). A symbolic link stays, and the file that it leads to is
// replaced. The error is a [*StageError].
func (p *Plan) WriteFile(ctx context.Context, out string, opt Options) error {
	if err := p.readable(); err != nil {
		return err
	}
	if out == "" {
		return &StageError{Stage: StageOutput, Err: &UsageError{Reason: "the output has no name", Hint: "name a file"}}
	}
	target, err := linkTarget(out)
	if err != nil {
		return &StageError{Stage: StageOutput, Err: err}
	}
	dir := filepath.Dir(target)
	tmp, removed, err := createTemp(dir, filepath.Base(target))
	for _, name := range removed {
		p.addf(IDLeftover, SeverityInfo, "", "", "%s was left by a run that was killed, and is removed", quote(name))
	}
	if err != nil {
		return &StageError{Stage: StageOutput, Err: err}
	}
	defer tmp.release()
	if opt.Sparse != SparseAlways && CompressionOf(out) == CompressNone {
		if err := checkSpace(dir, p.spaceNeeded(opt)); err != nil {
			return errors.Join(&StageError{Stage: StageOutput, Err: err}, discard(tmp.File))
		}
	}
	return p.writeTemp(ctx, tmp.File, destination{name: out, target: target}, opt)
}

// destination is where a finished file goes: what the user called it, and the
// file that this means.
type destination struct{ name, target string }

// partFile is an unfinished file; tests put one in its place that fails.
type partFile interface {
	io.Writer
	io.WriterAt
	Chmod(mode fs.FileMode) error
	Truncate(size int64) error
	Sync() error
	Close() error
	Name() string
	Fd() uintptr
}

// writeTemp makes tmp the output, or removes it.
func (p *Plan) writeTemp(ctx context.Context, tmp partFile, to destination, opt Options) error {
	if err := p.finishFile(ctx, tmp, to, opt); err != nil {
		return errors.Join(err, discard(tmp))
	}
	if opt.NoSync {
		return nil
	}
	if err := syncDir(filepath.Dir(to.target)); err != nil {
		return &StageError{Stage: StageSync, Err: fmt.Errorf("the dump is complete, its folder may not be on disk: %w", err)}
	}
	return nil
}

// discard closes and removes a temporary file; that either was done already is
// no error.
func discard(tmp interface {
	Close() error
	Name() string
},
) error {
	if err := tmp.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return errors.Join(err, removeFile(tmp.Name()))
	}
	if err := removeFile(tmp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// finishFile fills tmp and gives it its final name.
func (p *Plan) finishFile(ctx context.Context, tmp partFile, to destination, opt Options) error {
	if err := tmp.Chmod(outputMode); err != nil {
		return &StageError{Stage: StageOutput, Err: err}
	}
	if err := p.fillFile(ctx, tmp, to.name, opt); err != nil {
		return &StageError{Stage: StageWrite, Err: err}
	}
	if !opt.NoSync {
		opt.enter(StageSync)
		if err := tmp.Sync(); err != nil {
			return &StageError{Stage: StageSync, Err: err}
		}
	}
	if err := tmp.Close(); err != nil {
		return &StageError{Stage: StageWrite, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return &StageError{Stage: StageWrite, Err: context.Cause(ctx)}
	}
	if err := publish(tmp.Name(), to.target, opt.Force); err != nil {
		return &StageError{Stage: StageOutput, Err: err}
	}
	return nil
}

// fillFile writes the dump, packed if out's name asks for it.
func (p *Plan) fillFile(ctx context.Context, tmp partFile, out string, opt Options) error {
	if CompressionOf(out) != CompressNone {
		return p.writePacked(ctx, tmp, out, opt)
	}
	if opt.Sparse.grain() > 0 {
		markSparse(tmp)
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
func (p *Plan) fillPlain(ctx context.Context, tmp partFile, opt Options) error {
	var w io.WriterAt = tmp
	if !opt.NoSync && writesBack {
		early := newEarlyWriter(tmp)
		defer func() { _ = early.Close() }() // it has no error to tell
		w = early
	}
	if grain := opt.Sparse.grain(); grain > 0 {
		w = &holeWriter{w: w, grain: grain}
	}
	return p.writeAll(ctx, w, opt)
}
