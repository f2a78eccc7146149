package source

import (
	"windmp/convert/stage"
	"windmp/physmem/open"
)

// Options say how an input is opened.
type Options struct {
	// Input says what the input itself does not: its format and, of raw memory,
	// its holes.
	Input open.Options
	// TempDir is where a packed file is unpacked to; empty means the system's
	// folder for temporary files.
	TempDir string
	// MaxUnpacked is the most bytes that are written there, without holes; 0 for no
	// limit.
	MaxUnpacked int64
	// Progress, when set, is called when a stage begins, about ten times a second
	// while a file is unpacked, and at its end.
	Progress func(stage.Progress)
	// Count, when set, counts what is unpacked instead.
	Count *stage.Meter
}

// Validate returns a [*stage.UsageError] if the options make no sense for any input.
func (o *Options) Validate() error {
	if err := o.Input.Validate(); err != nil {
		return &stage.UsageError{Reason: err.Error()}
	}
	return nil
}
