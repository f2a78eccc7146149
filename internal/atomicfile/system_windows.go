//go:build windows

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

const (
	// busyTries and busyPause bound the wait for a file that something holds
	// open: virus scanners and indexers open what was just written, for moments.
	busyTries = 20
	busyPause = 50 * time.Millisecond
	// namesReserved cannot stand in a name. Behind a colon stands a data stream
	// of the file before it, and that can't be renamed to.
	namesReserved = `<>:"|?*`
)

// Why a name can't be that of a file, as ErrExists and the others.
var (
	// errDevice: the name is a device's, there or not.
	errDevice = errors.New("is a device")
	// errBadName: no file can have the name. It is wrapped with the characters.
	errBadName = errors.New("has a character in its name that a file can't have")
)

// longPath is an absolute path in the form that has no limit of 260 characters
// and is taken as it is. Go's own calls do that by themselves.
func longPath(name string) (string, error) {
	abs, err := filepath.Abs(name) // also drops the dots and blanks that a name can't end with
	switch {
	case err != nil, strings.HasPrefix(abs, `\\?\`), strings.HasPrefix(abs, `\\.\`):
		return abs, err
	case strings.HasPrefix(abs, `\\`):
		return `\\?\UNC` + abs[1:], nil
	default:
		return `\\?\` + abs, nil
	}
}

// systemPath is longPath for a call of the system.
func systemPath(name string) (*uint16, error) {
	long, err := longPath(name)
	if err != nil {
		return nil, err
	}
	return windows.UTF16PtrFromString(long)
}

// checkName refuses names that are no file's: devices such as NUL or
// COM1, pipes, data streams.
func checkName(name string) error {
	base := filepath.Base(name)
	var reason error
	switch {
	case strings.HasPrefix(filepath.ToSlash(name), "//./"):
		reason = errDevice
	case base == "..", base == `\`:
		return nil // a folder, which is refused as one
	case strings.ContainsAny(base, namesReserved):
		reason = fmt.Errorf("%w, one of %s", errBadName, namesReserved)
	case !filepath.IsLocal(base):
		reason = errDevice
	default:
		return nil
	}
	return &TargetError{Path: name, Err: reason}
}

// checkReplace tells before the work whether an existing file can be replaced
// after it: another program may have it open, it may be read-only or another
// user's.
func checkReplace(out string) error {
	name, err := systemPath(out)
	if err != nil {
		return err
	}
	attributes, err := windows.GetFileAttributes(name)
	if err == nil && attributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		return &os.PathError{Op: "replace", Path: out, Err: errors.New("the file is marked read-only")}
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	err = whileBusy(func() error {
		h, err := windows.CreateFile(name, windows.DELETE, share, nil, windows.OPEN_EXISTING, 0, 0)
		if err == nil {
			err = windows.CloseHandle(h)
		}
		return err
	})
	return nameError("replace", out, err)
}

// publish gives the finished file its name, durably. Without replace the system
// itself refuses a name that has been taken meanwhile.
func publish(tmp, out string, replace bool) error {
	from, err := systemPath(tmp)
	if err != nil {
		return err
	}
	to, err := systemPath(out)
	if err != nil {
		return err
	}
	var flags uint32 = windows.MOVEFILE_WRITE_THROUGH
	if replace {
		flags |= windows.MOVEFILE_REPLACE_EXISTING
	}
	err = whileBusy(func() error { return windows.MoveFileEx(from, to, flags) })
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) || errors.Is(err, windows.ERROR_FILE_EXISTS) {
		return &TargetError{Path: out, Err: ErrExists}
	}
	return nameError("rename to", out, err)
}

// nameError says in one sentence why the name out can't be had.
func nameError(op, out string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
		err = fmt.Errorf("another program has the file open (%w)", err)
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		err = fmt.Errorf("another program has the file open, or its access list forbids it (%w)", err)
	}
	return &os.PathError{Op: op, Path: out, Err: err}
}

// whileBusy repeats f for a second as long as another program is in the way.
func whileBusy(f func() error) error {
	var err error
	for range busyTries {
		err = f()
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		time.Sleep(busyPause)
	}
	return err
}

// removeFile removes a file that nobody but a scanner has open.
func removeFile(name string) error { return whileBusy(func() error { return os.Remove(name) }) }

// AllowHoles lets f have holes: without it NTFS writes zeros up to wherever a
// block is written. File systems without holes refuse, and then it is so.
func AllowHoles(f Descriptor) {
	var n uint32
	_ = windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
}

// untilClosed makes a new, empty temporary file go with its last handle,
// however the process ends. It closes f and returns the file opened anew.
func untilClosed(f *os.File) (*os.File, error) {
	if err := f.Close(); err != nil {
		return nil, errors.Join(err, removeFile(f.Name()))
	}
	name, err := systemPath(f.Name())
	if err != nil {
		return nil, errors.Join(err, removeFile(f.Name()))
	}
	const access = windows.GENERIC_READ | windows.GENERIC_WRITE | windows.DELETE
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_DELETE
	var h windows.Handle
	err = whileBusy(func() error {
		h, err = windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
		return err
	})
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "open", Path: f.Name(), Err: err}, removeFile(f.Name()))
	}
	return os.NewFile(uintptr(h), f.Name()), nil
}

// freeSpace is what the user may write into dir's volume, in bytes.
func freeSpace(dir string) (uint64, error) {
	long, err := longPath(dir)
	if err != nil {
		return 0, err
	}
	// The root of a network share is known by its last backslash only.
	name, err := windows.UTF16PtrFromString(strings.TrimSuffix(long, `\`) + `\`)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

// Allocated is 0: the system does not tell with a file's size what of it is holes.
func Allocated(fs.FileInfo) int64 { return 0 }

// syncDir does nothing: Windows has no sync of a folder, and publish asks for a
// rename that is on disk when it returns.
func syncDir(string) error { return nil }

// NoSpace tells whether a file could not be written for want of space.
func NoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
