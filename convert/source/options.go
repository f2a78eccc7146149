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
	// Web says how URLs are read.
	Web Web
	// Closing, when set, is called when the input is closed, while it can still be asked.
	Closing func(s *Source)
	// Progress, when set, is called when a stage begins, about ten times a second
	// while a file is unpacked, and at its end.
	Progress func(stage.Progress)
	// Count, when set, counts what is unpacked instead, and a stream that is read to its
	// end.
	Count *stage.Meter
	// Whole, when set, is called before all of the input is read.
	Whole func(stage.Whole)
	// Limits bound the look at the input.
	Limits Limits

	watch *watch // of the look that has begun
}

// Web says how URLs are read. The zero value is for most servers.
type Web struct {
	// Header is sent to the host of a URL, and to no other one that it leads to. Its
	// values are secret.
	Header map[string][]string
	// Download allows what a server does not send in parts to be fetched whole, to a
	// temporary file in TempDir.
	Download bool
	// Again, when set, is called before a request is made again, with the path of the
	// input as it may be shown, and what was wrong with the request before; by several
	// goroutines at once.
	Again func(path string, err error)
	// Cache is the most memory for what was read, and is fetched ahead, in bytes; 0 means
	// 32 MiB.
	Cache int64
}

// Validate returns a [*stage.UsageError] if the options make no sense for any input.
func (o *Options) Validate() error {
	if err := o.Input.Validate(); err != nil {
		return &stage.UsageError{Reason: err.Error()}
	}
	return o.Limits.Validate()
}
