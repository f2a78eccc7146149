// Package reportfile is the file that a report goes to: what must not be replaced, and
// that all of it appears at once.
package reportfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"windmp/convert/cause"
	"windmp/convert/htmlreport"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
)

// Check refuses, before any work, a report that could not be written, or would replace
// what is no report or what one of the streams goes to. It returns the file that a
// symbolic link leads to; through says that it is a device or a pipe, which is written
// and not replaced. Errors are a *stage.UsageError or a *stage.Error.
func Check(path string, streams ...io.Writer) (target string, through bool, err error) {
	if isSpecial(path) {
		return path, true, nil
	}
	path, err = behindLinks(path)
	if err == nil {
		err = checkReplaced(path)
	}
	if err != nil {
		return "", false, err
	}
	if isStream(path, streams) {
		return "", false, &stage.UsageError{Reason: "the report " + cause.Name(path) + " is where this run prints", Hint: "--json prints the document on standard output"}
	}
	f, _, err := atomicfile.Create(path)
	if err == nil {
		err = f.Discard()
	}
	if err != nil {
		return "", false, reportError(err)
	}
	return path, false, nil
}

// isSpecial tells whether path leads to a device or a pipe: what a shell writes to, and
// does not replace.
func isSpecial(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&(fs.ModeDevice|fs.ModeCharDevice|fs.ModeNamedPipe) != 0
}

// maxLinks bounds how many symbolic links are followed, as the system does.
const maxLinks = 40

// behindLinks is the file that path is or leads to, there or not, as a shell would
// create it.
func behindLinks(path string) (string, error) {
	for range maxLinks {
		st, err := os.Lstat(path)
		if err != nil || st.Mode()&fs.ModeSymlink == 0 {
			return path, nil //nolint:nilerr // what is not there can be created
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", &stage.Error{Stage: stage.Report, Err: err}
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path) // not cleaned: a folder in it may be a link
			to = dir + to
		}
		path = to
	}
	return "", &stage.UsageError{Reason: "the report's name leads through too many symbolic links", Hint: "Name the file itself"}
}

// isStream tells whether path leads to the file that a stream goes to, as /dev/stdout
// does: it has what was printed, and would be replaced.
func isStream(path string, streams []io.Writer) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, w := range streams {
		f, ok := w.(*os.File)
		if !ok {
			continue
		}
		if stream, err := f.Stat(); err == nil && os.SameFile(st, stream) {
			return true
		}
	}
	return false
}

// reportError says why there can be no report.
func reportError(err error) error {
	var target *atomicfile.TargetError
	if !errors.As(err, &target) {
		return &stage.Error{Stage: stage.Report, Err: err}
	}
	return &stage.UsageError{Reason: "the report " + target.Error(), Hint: "--json prints the document on standard output"}
}

// checkReplaced lets nothing be replaced but what begins as a report does.
func checkReplaced(path string) error {
	if err := atomicfile.Check(path, true); err != nil {
		return reportError(err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &stage.Error{Stage: stage.Report, Err: err}
	}
	defer f.Close() //nolint:errcheck // only read
	first := make([]byte, len(htmlreport.Beginning))
	n, err := f.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return &stage.Error{Stage: stage.Report, Err: err}
	}
	if n > 0 && first[0] != '{' && string(first) != htmlreport.Beginning {
		return &stage.UsageError{Reason: cause.Name(path) + " exists and is no report", Hint: "Name another file for the report"}
	}
	return nil
}

// Same tells whether two names mean the same file, there or not.
func Same(a, b string) bool {
	sa, errA := os.Stat(a)
	sb, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(sa, sb)
	}
	if errA == nil || errB == nil || filepath.Base(a) != filepath.Base(b) {
		return false
	}
	sa, errA = os.Stat(filepath.Dir(a))
	sb, errB = os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}

// Write writes what write does to the file that [Check] returned: all of it under its
// name or nothing. A symbolic link stays, and the file that it leads to is replaced. Its
// mode is 0600: registers, names and, of vtop, memory are the guest's.
func Write(target string, through bool, write func(io.Writer) error) error {
	if through {
		return writeThrough(target, write)
	}
	f, _, err := atomicfile.Create(target)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err == nil {
		err = f.Publish(true)
	}
	if err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.SyncFolder()
}

// writeThrough writes the document to a device or a pipe.
func writeThrough(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
