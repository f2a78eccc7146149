// Package atomicfile writes files that appear under their name only when they are
// complete. Until then they are temporary files beside it, mode 0600 and locked, so
// that what a killed run left can be told from what another run is writing, and
// removed. A file can have holes, can be on its way to the disk while it is still
// written, and replaces nothing unless asked to.
//
//	f, leftovers, err := atomicfile.Create(name)
//	if err != nil { … }
//	defer f.Discard() // does nothing after Publish
//	… f.WriteAt …
//	f.Sync(); f.Close(); f.Publish(false); f.SyncFolder()
//
// [CreateUnnamed] makes a temporary file that never gets a name, and goes with the
// process.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// fileMode is the mode of every file: what is written may hold secrets.
const fileMode = 0o600

// Why a name can't be written to. A [*TargetError] wraps them.
var (
	// ErrExists: a file has the name, and was not to be replaced.
	ErrExists = errors.New("exists")
	// ErrFolder: a folder has the name.
	ErrFolder = errors.New("is a folder")
	// ErrNotRegular: what has the name is a device, a pipe.
	ErrNotRegular = errors.New("is not a regular file")
	// ErrDanglingLink: whoever made the link chooses what appears there; cp refuses it too.
	ErrDanglingLink = errors.New("is a symbolic link to a file that does not exist")
)

// TargetError says that a name can't be that of a file which is written.
type TargetError struct {
	// Path is the name as it was given.
	Path string
	// Err is one of the errors above, or another of the system (Windows: a name that no file
	// can have).
	Err error
}

func (e *TargetError) Error() string { return fmt.Sprintf("%s %v", Quote(e.Path), e.Err) }

// Unwrap gives the reason.
func (e *TargetError) Unwrap() error { return e.Err }

// Quote makes a name safe to print. One that has blanks, or what a terminal would not
// show as it is, stands in quotes, with escapes; where a backslash divides folders it is
// none of an escape.
func Quote(name string) string {
	q := strconv.Quote(name)
	if filepath.Separator == '\\' {
		q = strings.ReplaceAll(q, `\\`, `\`)
	}
	if bare := q[1 : len(q)-1]; bare == name && name != "" && !strings.ContainsAny(name, " '\"") {
		return name
	}
	return q
}

// Check says before any work what would stand in the way of a file of that name
// after it: a [*TargetError], or what the system says.
func Check(name string, replace bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	if _, err := linkTarget(name); err != nil {
		return err
	}
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return &TargetError{Path: name, Err: ErrFolder}
	case !st.Mode().IsRegular():
		return &TargetError{Path: name, Err: ErrNotRegular}
	case !replace:
		return &TargetError{Path: name, Err: ErrExists}
	default:
		return checkReplace(name)
	}
}

// linkTarget is the file that name is or leads to: replacing a symbolic link would
// leave the old file where it is, and put the new one on the disk that the link was
// to keep it from.
func linkTarget(name string) (string, error) {
	if st, err := os.Lstat(name); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		return name, nil //nolint:nilerr // what is not there can be created
	}
	_, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &TargetError{Path: name, Err: ErrDanglingLink}
	}
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(name)
}

// A File is an unfinished file. It ends with Close, Publish and perhaps SyncFolder,
// or with Discard.
type File struct {
	// The open file, under its temporary name.
	*os.File
	// target is the name that the file gets: never that of a symbolic link.
	target string
	// guard is another opening of the file, which holds the lock: the file itself
	// is closed before it gets its name, since some file systems tell only then
	// what went wrong. It is nil where nothing can be locked, and after the end.
	guard *os.File
	// ended is set when the file has its name, or is gone.
	ended bool
}

// Create creates an unfinished file that is to be called name, beside it. When name
// is a symbolic link, that is beside the file it leads to: the link stays. What
// killed runs left of the same name is removed, where that is certain, and their
// paths are returned, with an error too. Unlike [Check] it does not mind that name
// exists.
func Create(name string) (f *File, leftovers []string, err error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	target, err := linkTarget(name)
	if err != nil {
		return nil, nil, err
	}
	return createTemp(filepath.Dir(target), filepath.Base(target))
}

// Folder is where the file is and will be.
func (f *File) Folder() string { return filepath.Dir(f.target) }

// InMemory reports whether the file lies in memory: on tmpfs.
func (f *File) InMemory() bool { return inMemory(f) }

// Publish gives the closed file its name. Without replace it is [ErrExists] when
// the name was taken meanwhile, found in one step with the renaming where the file
// system can do that; with replace it takes the place of a regular file, and of
// nothing else. After an error the file is still to be discarded.
func (f *File) Publish(replace bool) error {
	if replace {
		if st, err := os.Lstat(f.target); err == nil && !st.Mode().IsRegular() {
			return &TargetError{Path: f.target, Err: ErrNotRegular}
		}
	}
	if err := publish(f.Name(), f.target, replace); err != nil {
		return err
	}
	f.ended = true
	f.release()
	return nil
}

// SyncFolder makes a published name durable.
func (f *File) SyncFolder() error { return syncDir(f.Folder()) }

// Discard closes and removes the file. After Publish it does nothing; that the file
// is closed already is no error.
func (f *File) Discard() error {
	if f.ended {
		return nil
	}
	f.ended = true
	defer f.release()
	return discard(f.File)
}

// release ends the guard: only now may others touch what has the file's name.
func (f *File) release() {
	if f.guard != nil {
		_ = f.guard.Close() // nothing was written through it
		f.guard = nil
	}
}

// discard closes and removes a temporary file; that either was done already is
// no error.
func discard(tmp *os.File) error {
	if err := tmp.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return errors.Join(err, removeFile(tmp.Name()))
	}
	if err := removeFile(tmp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
