package stage

import "fmt"

// Stage names a step of the pipeline, for errors and reports.
type Stage string

// The stages in the order in which they run. Usage is where options make no
// sense, output is the output's name: it is looked at before the open and given
// after the sync. A check has read for what it reads beyond that.
const (
	Usage  Stage = "usage"
	Open   Stage = "open"
	Unpack Stage = "unpack"
	Header Stage = "header"
	Kernel Stage = "kernel"
	CPUs   Stage = "processors"
	Plan   Stage = "plan"
	Output Stage = "output"
	Write  Stage = "write"
	Sync   Stage = "sync"
	Read   Stage = "read"
	// Mount is where a folder of dumps is shown.
	Mount Stage = "mount"
	// Report is of a command that writes its report to a file.
	Report Stage = "report"
)

// Error says in which stage a conversion ended; Err is the cause.
type Error struct {
	Stage Stage
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Stage, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// A FileError says of which file an error is.
type FileError struct {
	// Path is the file's, as it was given.
	Path string
	// Unpacked is set where it is about what is packed in the file.
	Unpacked bool
	Err      error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap gives the error.
func (e *FileError) Unwrap() error { return e.Err }
