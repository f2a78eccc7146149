// Package cause says an error to people: one sentence that names the file and the
// cause in units that people use, what to do about it, and, for who looks closer, the
// whole of what the error says. Nothing else decides how a failure reads: text, JSON
// and the verdict of a check take it from here.
package cause

import (
	"context"
	"errors"
	"io"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/binio"
	"windmp/internal/pack"
	"windmp/physmem"
)

// A Cause is an error for people.
type Cause struct {
	// Sentence says what is wrong: lower-case, without a period, with the name of the
	// file that it is about at its start.
	Sentence string
	// Hint is what to do about it, empty where nothing is known.
	Hint string
	// Detail is all that the error says, offsets and addresses included; empty where
	// the sentence has it all.
	Detail string
}

// Of says what err is. It is the zero value for no error.
func Of(err error) Cause {
	switch {
	case err == nil:
		return Cause{}
	case errors.Is(err, context.Canceled):
		return Cause{Sentence: "interrupted, nothing was left behind"}
	}
	var c Cause
	for _, e := range parts(err) {
		next := one(e)
		switch {
		case c.Sentence == "":
			c.Sentence, c.Hint = next.Sentence, next.Hint
		case next.Sentence != c.Sentence:
			c.Sentence += "; also " + next.Sentence
			if c.Hint == "" {
				c.Hint = next.Hint
			}
		}
	}
	c.Hint = ended(c.Hint)
	if said := withoutHint(err); said != c.Sentence {
		c.Detail = said
	}
	return c
}

// withoutHint is all that an error says, less the hint that it has of its own.
func withoutHint(err error) string {
	var format *physmem.FormatError
	var unsupported *physmem.UnsupportedError
	var unknown *physmem.UnknownFormatError
	hint := ""
	switch {
	case errors.As(err, &format):
		hint = format.Hint
	case errors.As(err, &unsupported):
		hint = unsupported.Hint
	case errors.As(err, &unknown):
		hint = unknown.Hint
	}
	if hint == "" {
		return detail(err)
	}
	return strings.ReplaceAll(detail(err), "; "+hint, "")
}

// parts are the errors that were joined in err, each with what was wrapped around all
// of them.
func parts(err error) []error {
	var joined interface{ Unwrap() []error }
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand
	case *stage.Error:
		return wrapped(e.Err, func(err error) error { return &stage.Error{Stage: e.Stage, Err: err} })
	case *stage.FileError:
		return wrapped(e.Err, func(err error) error { return &stage.FileError{Path: e.Path, Unpacked: e.Unpacked, Err: err} })
	}
	if !errors.As(err, &joined) {
		return []error{err}
	}
	if _, ok := err.(interface{ Unwrap() []error }); !ok {
		return []error{err} // deeper: a sentence of somebody's
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, parts(e)...)
	}
	return list
}

func wrapped(err error, wrap func(error) error) []error {
	list := parts(err)
	for i := range list {
		list[i] = wrap(list[i])
	}
	return list
}

// detail is all that an error says, in one line.
func detail(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// one says what an error is that is not several.
func one(err error) Cause {
	var usage *stage.UsageError
	var refused *finding.RefusedError
	if errors.As(err, &usage) {
		return Cause{Sentence: usage.Reason, Hint: usage.Hint}
	}
	if c, ok := ofSystem(err); ok {
		return c
	}
	if errors.As(err, &refused) {
		return Cause{Sentence: about(err, refused.Finding.Message), Hint: refused.Finding.Advice}
	}
	if said, hint, ok := OfImage(err); ok {
		return Cause{Sentence: about(err, said), Hint: hint}
	}
	return Cause{Sentence: about(err, innermost(err)), Hint: advice(err)}
}

// advice is what an error says itself about what to do.
func advice(err error) string {
	var advised interface{ Advice() string }
	if errors.As(err, &advised) {
		return advised.Advice()
	}
	return ""
}

// theFile begins a sentence whose subject can be a file's name.
const theFile = "the file is "

// about is a sentence with the name of the file that was worked on, as far as the error
// tells.
func about(err error, said string) string {
	name := fileName(err)
	if name == "" {
		return said
	}
	if what, ok := strings.CutPrefix(said, theFile); ok {
		return name + " is " + what
	}
	return strings.TrimSuffix(name, ",") + ": " + said
}

// WithoutName is a sentence about a file where the file's name stands beside it already.
func WithoutName(sentence, path string) string {
	said, ok := strings.CutPrefix(sentence, Name(path))
	switch {
	case !ok || said != "" && !strings.ContainsRune(":, ", rune(said[0])): // the name of another begins so
		return sentence
	case strings.HasPrefix(said, ": "):
		return strings.TrimPrefix(said, ": ")
	default:
		return "the file" + said
	}
}

// fileName is the name of the file that was worked on, empty where the error does not
// tell. A comma ends that of one that was unpacked.
func fileName(err error) string {
	var file *stage.FileError
	switch {
	case !errors.As(err, &file) || file.Path == "":
		return ""
	case file.Unpacked:
		return Name(file.Path) + ", unpacked,"
	default:
		return Name(file.Path)
	}
}

// innermost is what an error says without the stage and the file.
func innermost(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // the outer ones are taken off one by one
		case *stage.Error:
			err = e.Err
		case *stage.FileError:
			err = e.Err
		default:
			return detail(err)
		}
	}
}

// OfImage says of a file that was read what is wrong with it, without its name. It is
// false for errors of other things.
func OfImage(err error) (said, hint string, ok bool) {
	var format *physmem.FormatError
	var unsupported *physmem.UnsupportedError
	var unknown *physmem.UnknownFormatError
	var snapshot *physmem.SnapshotError
	var option *physmem.OptionError
	var limit *pack.LimitError
	var read *physmem.ReadError
	switch {
	case errors.As(err, &format):
		return ofFormat(format), ended(format.Hint), true
	case errors.As(err, &unsupported):
		return theFile + unsupported.What, ended(unsupported.Hint), true
	case errors.As(err, &unknown):
		return ofUnknown(unknown), ended(unknown.Hint), true
	case errors.As(err, &snapshot):
		return snapshot.Error(), "", true
	case errors.As(err, &option):
		return option.Reason, "", true
	case errors.As(err, &limit):
		return "what is packed in it takes more than the limit of " + binio.Bytes(limit.Limit), hintUnpack, true
	case errors.As(err, &read) && errors.Is(read.Err, io.ErrUnexpectedEOF):
		return "the file became shorter while it was read", "Wait until it is complete, and try again.", true
	case errors.As(err, &read) && read.Damaged:
		return "the file is damaged: a piece of its packed memory can't be unpacked", physmem.HintDamaged, true
	case errors.As(err, &read):
		return "the file can't be read: " + detail(read.Err), "", true
	}
	return "", "", false
}

// ofFormat says what is wrong with a file of a known format: that it is cut, or which
// part of it makes no sense.
func ofFormat(e *physmem.FormatError) string {
	if e.Cut != nil {
		return e.Cut.String()
	}
	part, _, _ := strings.Cut(e.Field, ":")
	why := "can't be right"
	if e.Reason != "" && !strings.Contains(e.Reason, "0x") {
		why = "can't be used: " + e.Reason
	}
	if e.Field == pack.Data {
		why = "can't be unpacked"
	}
	return "the file is damaged: " + part + " " + why + " (" + string(e.Format) + ")"
}

// ofUnknown says of a file that no opener wanted what it looks like.
func ofUnknown(e *physmem.UnknownFormatError) string {
	switch {
	case e.Looks == "" && len(e.Tried) == 1: // it was named
		return theFile + "not of the format " + string(e.Tried[0].Format) + ": " + e.Tried[0].Reason
	case e.Looks == "":
		return theFile + "not a memory image that is known here"
	case e.Looks == physmem.LooksEmpty:
		return theFile + "empty"
	default:
		return theFile + "not a memory image: it looks like " + e.Looks
	}
}

// Name is a file's name for a sentence: in quotes where it has blanks, or what a
// terminal does not show as it is.
func Name(path string) string { return atomicfile.Quote(path) }

// ended gives a hint its capital and its period, but for one that ends in what is typed.
func ended(hint string) string {
	if hint == "" {
		return ""
	}
	first, _, _ := strings.Cut(hint, " ")
	if first[0] >= 'a' && first[0] <= 'z' && first != "windmp" {
		hint = strings.ToUpper(hint[:1]) + hint[1:]
	}
	last := hint[strings.LastIndexByte(hint, ' ')+1:]
	if strings.ContainsAny(last, "-/=.:)?") || strings.HasPrefix(hint, "windmp") {
		return hint
	}
	return hint + "."
}
