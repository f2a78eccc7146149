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
