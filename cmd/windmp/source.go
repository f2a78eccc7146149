package main

import (
	"cmp"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/convert/guest"
	"windmp/convert/source"
	"windmp/convert/stage"
)

// prepare turns the flags of a command that looks at one file into options, once
// it is known that its report can be written.
func (a *app) prepare(f *sourceflag.Look, path string) (source.Options, guest.Options, error) {
	if err := cmp.Or(refuseStdin(path), a.checkReport(path)); err != nil {
		return source.Options{}, guest.Options{}, err
	}
	source, guest, err := f.Options()
	source.Progress = a.startProgress(false)
	guest.Progress = source.Progress
	source.Web.Again = a.tellAgain(false)
	source.Whole = toldFor(path, a.tellWhole(false))
	guest.Whole = source.Whole
	return source, guest, err
}

// refuseStdin refuses - for an input, in every command alike.
func refuseStdin(paths ...string) error {
	for _, path := range paths {
		if path == "-" {
			return &stage.UsageError{
				Reason: "standard input is no input: a memory image is read at many places, and not in order",
				Hint:   "Save it to a file, and name that; a file called - is ./-",
			}
		}
	}
	return nil
}
