package convert

import (
	"context"

	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/physmem"
)

// A container that compresses memory may have pages that can't be decoded, which only
// reading tells: when one was met, all of them are looked for ([Sound]), and the image
// without them is converted, where they are missing. [SoundFirst] says when that comes
// first.

// SoundFirst reports whether all damage must be known before anything is made of an image:
// gaps are accepted, and what is made can't be taken back when one is met.
func SoundFirst(missing report.MissingMode, once bool) bool {
	return once && acceptsGaps(missing)
}

// acceptsGaps tells whether a dump without some of the guest's memory is wanted.
func acceptsGaps(missing report.MissingMode) bool {
	return missing != "" && missing != report.MissingFail
}

// Readable is the image without the pages that a failing disk does not give, for which all
// of its memory is read: tell is told so before, if it is not nil. The error is a
// [*stage.Error].
func Readable(ctx context.Context, im *physmem.Image, tell func(stage.Whole)) (*physmem.Image, error) {
	stage.Foretell(tell, stage.Read, im.FileSize())
	readable, err := im.Readable(ctx)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Read, Err: err}
	}
	return readable, nil
}

// Sound is the image without the pages that can't be decoded, for which all of a container
// that compresses memory is read: tell is told so before, if it is not nil. The error is a
// [*stage.Error].
func Sound(ctx context.Context, im *physmem.Image, tell func(stage.Whole)) (*physmem.Image, error) {
	if !im.Located() {
		stage.Foretell(tell, stage.Read, im.FileSize())
	}
	sound, err := im.Sound(ctx)
	if err != nil {
		return nil, &stage.Error{Stage: stage.Read, Err: err}
	}
	return sound, nil
}
