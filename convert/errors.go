package convert

import "fmt"

// Stage names a step of the pipeline, for errors and reports.
type Stage string

// The stages in the order in which they run. Usage is where options make no
// sense, output is the output's name: it is looked at before the open and given
// after the sync. A check has read for what it reads beyond that.
const (
	StageUsage  Stage = "usage"
	StageOpen   Stage = "open"
	StageUnpack Stage = "unpack"
	StageHeader Stage = "header"
	StageKernel Stage = "kernel"
	StageCPUs   Stage = "processors"
	StagePlan   Stage = "plan"
	StageOutput Stage = "output"
	StageWrite  Stage = "write"
	StageSync   Stage = "sync"
	StageRead   Stage = "read"
)

// StageError says in which stage a conversion ended; Err is the cause.
type StageError struct {
	Stage Stage
	Err   error
}

func (e *StageError) Error() string { return fmt.Sprintf("%s: %v", e.Stage, e.Err) }

// Unwrap gives the cause.
func (e *StageError) Unwrap() error { return e.Err }

// RefusedError says that the input can't become a dump worth opening. It holds
// the finding that decided it. The command line turns it into exit code 3, or
// 4 when Unsupported is set: the input is not a thing that windmp converts.
type RefusedError struct {
	Finding     Finding
	Unsupported bool
	// Err is the underlying error, nil when the finding says it all.
	Err error
}

func (e *RefusedError) Error() string {
	if e.Finding.Where == "" {
		return e.Finding.Message
	}
	return e.Finding.Message + " (" + e.Finding.Where + ")"
}

// Unwrap gives the underlying error.
func (e *RefusedError) Unwrap() error { return e.Err }

// refuse records f as a failure and returns it as an error.
func (fs *findings) refuse(f Finding, cause error) *RefusedError {
	f.Severity = SeverityFail
	fs.add(f)
	return &RefusedError{Finding: f, Err: cause}
}
