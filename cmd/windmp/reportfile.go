package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"windmp/convert"
	"windmp/convert/cause"
	"windmp/convert/htmlreport"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
)

// checkReport refuses, before any work, a report that could not be written or
// must not: the report is never one of others, and replaces nothing but a report.
func (a *app) checkReport(others ...string) error {
	path := a.out.report
	if path == "" {
		return nil
	}
	a.out.report = "" // until it is known to be good
	if path == convert.Stdout {
		return &stage.UsageError{Reason: "--report wants the name of a file", Hint: "--json prints the document on standard output"}
	}
	for _, other := range others {
		if sameFile(path, other) {
			return &stage.UsageError{Reason: "--report and another argument name the same file: " + cause.Name(path), Hint: "Name another file for the report"}
		}
	}
	if isPage(path) && !a.out.pages {
		return &stage.UsageError{Reason: "pages are made by " + strings.Join(pageCommands, ", "), Hint: "name a file that does not end in .html"}
	}
	if isSpecial(path) {
		a.out.report, a.out.through = path, true
		return nil
	}
	path, err := behindLinks(path)
	if err == nil {
		err = checkReplaced(path)
	}
	if err != nil {
		return err
	}
	if a.isStream(path) {
		return &stage.UsageError{Reason: "the report " + cause.Name(path) + " is where this run prints", Hint: "--json prints the document on standard output"}
	}
	f, _, err := atomicfile.Create(path)
	if err == nil {
		err = f.Discard()
	}
	if err != nil {
		return reportError(err)
	}
	a.out.report = path
	return nil
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

// isStream tells whether path leads to the file that standard output or standard
// error goes to, as /dev/stdout does: it has what was printed, and would be replaced.
func (a *app) isStream(path string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, w := range []io.Writer{a.stdout, a.stderr} {
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

// sameFile tells whether two names mean the same file, there or not.
func sameFile(a, b string) bool {
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

// writeReport writes what write does to the file of --report, if there is one: all
// of it under its name or nothing. A symbolic link stays, and the file that it leads
// to is replaced. Its mode is 0600: registers, names and, of
// vtop, memory are the guest's.
func (a *app) writeReport(write func(io.Writer) error) error {
	if a.out.report == "" {
		return nil
	}
	if a.out.through {
		return writeThrough(a.out.report, write)
	}
	f, _, err := atomicfile.Create(a.out.report)
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
