package mount

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"windmp/convert/stage"
)

const (
	// fsName is the type of the file systems, behind "fuse.".
	fsName = "windmp"
	// device is what FUSE is reached by.
	device = "/dev/fuse"
)

// helpers mount for users who may not, by their names since FUSE 3 and before.
var helpers = []string{"fusermount3", "fusermount"}

// Check refuses what no file system can be mounted on: anything but an empty folder,
// and a system without FUSE. What a killed run left mounted there is taken away, and
// say is told of it. The error is a [*stage.UsageError] or a [*stage.Error].
func Check(dir string, say func(message string)) error {
	err := check(dir, say)
	var usage *stage.UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	return &stage.Error{Stage: stage.Mount, Err: err}
}

func check(dir string, say func(message string)) error {
	if err := empty(dir); errors.Is(err, unix.ENOTCONN) {
		if err := takeAway(dir); err != nil {
			return err
		}
		say(quoted(dir) + " was left mounted by a run that was killed, and is free again")
	}
	if err := empty(dir); err != nil {
		return err
	}
	if _, err := os.Stat(device); err != nil {
		return &stage.UsageError{
			Reason: "there is no " + device + ": this system has no FUSE",
			Hint:   "load the kernel's module fuse; a container needs the device, and the right to mount (CAP_SYS_ADMIN)",
		}
	}
	if _, err := helper(); err != nil && os.Geteuid() != 0 {
		return &stage.UsageError{Reason: "only root mounts without fusermount3, which is not installed", Hint: "install fuse3"}
	}
	return nil
}

func quoted(dir string) string { return strconv.QuoteToGraphic(dir) }

// empty is an error unless dir is an empty folder.
func empty(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return &stage.UsageError{Reason: quoted(dir) + " is no folder", Hint: "name an empty folder to mount on"}
	case errors.Is(err, fs.ErrNotExist):
		return &stage.UsageError{Reason: "there is no folder " + quoted(dir), Hint: "make it first"}
	case err != nil:
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	switch _, err := f.Readdirnames(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return &stage.UsageError{Reason: "the folder " + quoted(dir) + " is not empty", Hint: "name an empty folder to mount on"}
}

// takeAway takes a file system of ours away whose program is gone.
func takeAway(dir string) error {
	place, err := absolute(dir)
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(place))
	if err != nil {
		return err
	}
	if len(mounts) == 0 || mounts[len(mounts)-1].FSType != "fuse."+fsName {
		return &stage.UsageError{
			Reason: "what is mounted on " + quoted(dir) + " does not answer, and is not of windmp",
			Hint:   "umount it, or name another folder",
		}
	}
	return detach(place)
}

// absolute is the name of a mount point in the system's list: without links on the way
// to it. The mount point itself may be one that answers nothing.
func absolute(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// detach takes a file system away from its folder, in use or not.
func detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if !errors.Is(err, unix.EPERM) {
		return os.NewSyscallError("umount", err)
	}
	bin, err := helper()
	if err != nil {
		return err
	}
	out, err := exec.Command(bin, "-u", "-z", "--", dir).CombinedOutput() //nolint:gosec // the system's own helper
	if err != nil {
		return fmt.Errorf("%s: %w: %s", bin, err, out)
	}
	return nil
}

// helper is the program that mounts for users.
func helper() (string, error) {
	var err error
	for _, name := range helpers {
		var bin string
		if bin, err = exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", err
}
