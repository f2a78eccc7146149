package cause

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/binio"
	"windmp/internal/pack"
)

// What to do where a file can't be made.
const (
	// Of an output that is not packed.
	hintSpace  = "Free some of it, or name an output on another disk; with .zst behind its name it is packed."
	hintPacked = "Free some of it, or name an output on another disk."
	hintFolder = "Name an output in a folder that is yours."
	// Of a report, which is small and never packed.
	hintReportSpace  = "Free some of it, or name a report on another disk."
	hintReportFolder = "Name a report in a folder that is yours."
	hintReadable     = "Run windmp as a user who may read it; what libvirt and Proxmox write belongs to root."
	hintExists       = "Name another output, or force its replacement."
	hintSectors      = "The disk that it is on fails: take another copy, or accept a dump with gaps: zeros there, or the pages left out."
	hintMake         = "Make the folder first."
	hintUnpack       = "Allow more to be unpacked, or unpack the file first."
	hintLimit        = "The disk's format, or the limit of the shell (ulimit -f), allows no file of that size."
)

// ofSystem says what the operating system refused: of a file that it names, under the
// name that people know. It is false where it refused nothing.
func ofSystem(err error) (Cause, bool) {
	var space *atomicfile.SpaceError
	var target *atomicfile.TargetError
	var folder *atomicfile.FolderError
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	var file *stage.FileError
	switch {
	case errors.As(err, &space):
		return ofSpace(err, space), true
	case errors.As(err, &target):
		return ofTarget(target), true
	case errors.As(err, &folder) && inStage(err, stage.Unpack):
		return Cause{about(err, "it can't be unpacked: the folder for temporary files, "+Name(folder.Dir)+", does not exist"), hintTempDir(), ""}, true
	case errors.As(err, &folder):
		return Cause{folder.Error(), hintMake, ""}, true
	case errors.As(err, &path):
		return ofPath(err, path.Path, path.Err), true
	case errors.As(err, &call) && inStage(err, stage.Write) && errors.As(err, &file):
		return ofOutput(err, file.Path, call.Err), true
	case errors.As(err, &link):
		return ofPath(err, link.New, link.Err), true
	default:
		return Cause{}, false
	}
}

// hintTemporary and hintTempDir say how the folder for temporary files is chosen.
func hintTemporary() string {
	return "Set " + tempVariable() + " to a folder with room for what is packed in the file, or unpack it first."
}

func hintTempDir() string { return "Set " + tempVariable() + " to a folder that is yours." }

// tempVariable is the variable that [os.TempDir] asks first.
func tempVariable() string {
	if runtime.GOOS == "windows" {
		return "TMP"
	}
	return "TMPDIR"
}

// inFolder is where a file is, for a sentence.
func inFolder(path string) string {
	if dir := filepath.Dir(path); dir != "." {
		return Name(dir)
	}
	return "this folder"
}

// noFolder is what in a path is a file where a folder must be.
func noFolder(path string) string {
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		if st, err := os.Stat(p); err == nil && !st.IsDir() {
			return Name(p)
		}
	}
	return inFolder(path)
}

// inStage tells whether an error is of that stage.
func inStage(err error, s stage.Stage) bool {
	var at *stage.Error
	return errors.As(err, &at) && at.Stage == s
}

// ofSpace says what would not fit, before it is written.
func ofSpace(err error, e *atomicfile.SpaceError) Cause {
	free := "has " + binio.Bytes(e.Free) + " free"
	if inStage(err, stage.Unpack) {
		return Cause{about(err, "no room to unpack it: the folder for temporary files, "+Name(e.Dir)+", "+free), hintTemporary(), ""}
	}
	return Cause{about(err, "it takes "+binio.Bytes(e.Need)+", and the disk of "+inFolder(filepath.Join(e.Dir, "x"))+" "+free), hintSpace, ""}
}

// ofTarget says why a name can't be the output's.
func ofTarget(e *atomicfile.TargetError) Cause {
	if errors.Is(e, atomicfile.ErrExists) {
		return Cause{e.Error(), hintExists, ""}
	}
	return Cause{e.Error(), "", ""}
}

// ofPath says what the system said of a path.
func ofPath(err error, path string, why error) Cause {
	target := atomicfile.Target(path)
	switch {
	case path == os.Stdout.Name():
		return ofStdout(why)
	case target != path && inStage(err, stage.Unpack):
		return ofTemporary(err, filepath.Dir(path), why)
	case target != path || inStage(err, stage.Output) || inStage(err, stage.Sync) || inStage(err, stage.Report):
		return ofOutput(err, target, why)
	default:
		return ofInput(path, why)
	}
}

// ofStdout says why standard output could not be written.
func ofStdout(why error) Cause {
	switch {
	case errors.Is(why, syscall.EPIPE):
		return Cause{"whoever read standard output stopped before its end", "", ""}
	case atomicfile.NoSpace(why):
		return Cause{"no space left where standard output goes", "", ""}
	default:
		return Cause{"standard output can't be written: " + why.Error(), "", ""}
	}
}

// ofTemporary says why nothing could be unpacked into a folder.
func ofTemporary(err error, dir string, why error) Cause {
	folder := "the folder for temporary files, " + Name(dir) + ", "
	switch {
	case atomicfile.NoSpace(why):
		return Cause{about(err, "no room to unpack it: "+folder+"is full"), hintTemporary(), ""}
	case errors.Is(why, fs.ErrPermission), errors.Is(why, syscall.EROFS):
		return Cause{about(err, "it can't be unpacked: "+folder+"may not be written to"), hintTempDir(), ""}
	default:
		return Cause{about(err, "it can't be unpacked into "+Name(dir)+": "+why.Error()), "", ""}
	}
}

// ofOutput says why a file could not be written.
func ofOutput(err error, path string, why error) Cause {
	name, space, folder := Name(path), hintSpace, hintFolder
	switch {
	case inStage(err, stage.Report):
		name, space, folder = "the report "+name, hintReportSpace, hintReportFolder
	case pack.MethodOf(path) != pack.None:
		space = hintPacked
	}
	switch {
	case atomicfile.NoSpace(why) && isDevice(path):
		return Cause{name + ": no space left on the device", "", ""}
	case atomicfile.NoSpace(why):
		return Cause{name + ": no space left on the disk of " + inFolder(path), space, ""}
	case errors.Is(why, syscall.EROFS):
		return Cause{name + " can't be written: " + inFolder(path) + " is read-only", folder, ""}
	case errors.Is(why, syscall.ENOTDIR):
		return Cause{name + " can't be written: " + noFolder(path) + " is no folder", "", ""}
	case errors.Is(why, fs.ErrPermission):
		return Cause{name + " can't be written: no permission to make files in " + inFolder(path), folder, ""}
	case errors.Is(why, syscall.EFBIG):
		return Cause{name + " can't be written: file too large", hintLimit, ""}
	default:
		return Cause{name + " can't be written: " + why.Error(), "", ""}
	}
}

// isDevice tells whether a name is that of a device, which is on no disk: /dev/full.
func isDevice(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&fs.ModeDevice != 0
}

// hintScheme says of a file that is not there, and looks like a URL, which of these are read.
func hintScheme(path string) string {
	if !strings.Contains(path, "://") {
		return ""
	}
	return "Of URLs, those that begin with http:// or https:// are read; object stores make such (a presigned URL)."
}

// ofInput says why a file could not be read.
func ofInput(path string, why error) Cause {
	switch {
	case path == "":
		return Cause{"the name of a file is empty", "", ""}
	case errors.Is(why, fs.ErrNotExist):
		return Cause{Name(path) + ": there is no such file", hintScheme(path), ""}
	case errors.Is(why, fs.ErrPermission):
		return Cause{Name(path) + " can't be read: permission denied", hintReadable, ""}
	case errors.Is(why, syscall.EIO):
		return Cause{Name(path) + " can't be read: " + why.Error(), hintSectors, ""}
	default:
		return Cause{Name(path) + " can't be read: " + why.Error(), "", ""}
	}
}
