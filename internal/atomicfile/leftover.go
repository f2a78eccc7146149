package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// tempSuffix ends the names of unfinished files, so that people recognise what
	// a killed run left behind.
	tempSuffix = ".windmp-part"
	// tempNameMax is how much of a file's name, in bytes, stands in that of its
	// unfinished file: a name has 255 at most, dots, number and suffix included.
	tempNameMax = 200
	// tempTries is how often a name is tried anew.
	tempTries = 100
)

// tempPrefix begins the names of one file's unfinished files: .NAME.NUMBER.windmp-part.
func tempPrefix(base string) string {
	if len(base) > tempNameMax {
		base = strings.ToValidUTF8(base[:tempNameMax], "")
	}
	return "." + base + "."
}

// Why a file could not be locked.
var (
	errBusy   = errors.New("locked by another process")
	errGone   = errors.New("removed meanwhile")
	errNoLock = errors.New("locks can't be trusted on this file system")
)

// A FolderError is about a folder that is not there. It is [fs.ErrNotExist].
type FolderError struct{ Dir string }

func (e *FolderError) Error() string { return "the folder " + Quote(e.Dir) + " does not exist" }

// Unwrap gives fs.ErrNotExist.
func (e *FolderError) Unwrap() error { return fs.ErrNotExist }

// Target is the name that an unfinished file of that path is to get; of all other
// paths it is the path.
func Target(path string) string {
	name, ok := strings.CutSuffix(filepath.Base(path), tempSuffix)
	dot := strings.LastIndexByte(name, '.')
	if !ok || dot < 1 || name[0] != '.' || !isNumber(name[dot+1:]) {
		return path
	}
	return filepath.Join(filepath.Dir(path), name[1:dot])
}

// isNumber tells whether os.CreateTemp puts such a text in place of its asterisk.
func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// createTemp creates an unfinished file of the name base in dir, mode 0600, and
// removes those that dead runs left of the same name. Their names are returned.
func createTemp(dir, base string) (*File, []string, error) {
	removed := removeLeftovers(dir, base)
	for range tempTries {
		f, err := os.CreateTemp(dir, tempPrefix(base)+"*"+tempSuffix)
		if _, serr := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && serr != nil {
			return nil, removed, &FolderError{dir} // and not one like /proc, in which none can be made
		}
		if err != nil {
			return nil, removed, err
		}
		if err := f.Chmod(fileMode); err != nil {
			return nil, removed, errors.Join(err, discard(f))
		}
		guard, err := lockPath(f.Name())
		if errors.Is(err, errBusy) || errors.Is(err, errGone) {
			// Another run took it for a leftover before it was locked.
			_ = f.Close()
			_ = removeFile(f.Name())
			continue
		}
		return &File{File: f, target: filepath.Join(dir, base), guard: guard}, removed, nil
	}
	return nil, removed, errBusy
}

// removeLeftovers removes the unfinished files of the name base in dir whose
// owners are dead: they hold no lock. Where that can't be told, all stay.
func removeLeftovers(dir, base string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // creating a file there will say it
	}
	var removed []string
	for _, e := range entries {
		if isTempName(e.Name(), base) && e.Type().IsRegular() && removeDead(filepath.Join(dir, e.Name())) {
			removed = append(removed, filepath.Join(dir, e.Name()))
		}
	}
	return removed
}

// isTempName tells whether createTemp gives such names to base's files.
func isTempName(name, base string) bool {
	number, ok := strings.CutPrefix(name, tempPrefix(base))
	if !ok {
		return false
	}
	number, ok = strings.CutSuffix(number, tempSuffix)
	return ok && isNumber(number)
}

// removeDead removes an unfinished file if nobody holds its lock.
func removeDead(path string) bool {
	guard, err := lockPath(path)
	if err != nil {
		return false
	}
	err = os.Remove(path)
	return errors.Join(err, guard.Close()) == nil
}

// lockPath opens and locks the file at path. The error is errBusy when another
// opening holds the lock, errGone when there is no such file any more, errNoLock
// where a lock would say nothing.
func lockPath(path string) (*os.File, error) {
	f, err := openToLock(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if err := lockOpen(f, path); err != nil {
		_ = f.Close() // only opened
		return nil, err
	}
	return f, nil
}

// lockOpen locks f, and looks whether it still is what path names.
func lockOpen(f *os.File, path string) error {
	if !locksCount(f) {
		return errNoLock
	}
	if err := tryLock(f); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if err != nil || !os.SameFile(mine, named) {
		return errGone
	}
	return nil
}
