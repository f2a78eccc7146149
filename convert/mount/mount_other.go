//go:build !linux

package mount

import (
	"context"

	"windmp/convert/folder"
	"windmp/convert/stage"
)

// errSystem is what there is to say on this system.
var errSystem = &stage.UsageError{
	Reason: "file systems are mounted on Linux only",
	Hint:   "convert the file, or mount it on a Linux machine and share it from there",
}

// Check refuses any folder: there is no mounting here.
func Check(string, func(message string)) error { return errSystem }

// Serve is for Linux; see [Check].
func Serve(context.Context, string, *folder.Folder, Options) error { return errSystem }
