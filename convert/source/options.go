package source

import (
	"windmp/convert/stage"
	"windmp/physmem/open"
)

// Options say how a source is opened.
type Options struct {
	// Input says what the source itself does not: its format and, of raw memory,
	// its holes.
	Input open.Options
	// TempDir is where a packed source is unpacked to; empty means the system's
	// folder for temporary files.
	TempDir string
	// Progress is as that of [Options].
	Progress func(stage.Progress)
}

// CheckInput is a [*UsageError] where the input's options make no sense.
func (o *Options) CheckInput() error {
	if err := o.Input.Validate(); err != nil {
		return &stage.UsageError{Reason: err.Error()}
	}
	return nil
}
