package main

import (
	"errors"
	"io"
	"strings"

	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/stage"
)

// flagWords are what the libraries, which know of no flags, say in their words, each
// with what the command says instead.
var flagWords = []string{
	"If another hole is known, give it.", "If another hole is known, give it with --hole.",
	"leaves out a part of physical memory, give it as a hole.", "leaves out a part of physical memory, give it with --hole.",
	"or give the root of its page tables.", "or give --dtb.",
	"or give the root of its page tables, its kernel base or its KDBG.", "or give --dtb, --kernel-base or --kdbg.",
	"or choose the container elf.", "or use --to=elf.",
	"Allow more to be unpacked, or", "Give a larger --max-size, or",
	"or force its replacement.", "or replace it with --force.",
	"the given root", "--dtb",
	"the given kernel base", "--kernel-base",
	"the given KDBG", "--kdbg",
	"or accept a dump with gaps: zeros there, or the pages left out.",
	"or accept a dump with gaps: --missing=zero writes zeros there, --missing=drop leaves the pages out.",
	"or accept a core with gaps: the pages left out.", "or accept a core with gaps: --missing=drop leaves the pages out.",
	"Choose a full dump.", "Use --type=full.",
	"Choose a bitmap dump.", "Use --type=bitmap.",
	"or keep only the kernel's pages.", "or keep only the kernel's pages: windmp convert --type kernel.",
	"or allow it to be fetched whole to a temporary file", "or use --download, which fetches it whole to a temporary file",
	"Raw memory is read if raw is given as its format", "Raw memory is read with --format=raw",
	"leave the format out, and", "leave --format out, and",
	"the process to keep ", "--keep-process ",
	"see the process list of the guest", "see the process list of windmp info --processes",
	"the process list of the guest has them", "windmp info --processes lists them",
}

var toFlags = strings.NewReplacer(flagWords...)

// withFlags says in the command's words what a library said.
func withFlags(s string) string { return toFlags.Replace(s) }

// newText makes a text for a stream.
func newText(w io.Writer) *textreport.Text { return textreport.New(w, withFlags) }

// print writes a text to standard output.
func (a *app) print(t *textreport.Text) error {
	_, err := t.WriteTo(a.stdout)
	return err
}

// ofFlag is the error of a library's parser of names, which begins with the name of
// the option: the flag has the same.
func ofFlag(err error) error {
	var usage *stage.UsageError
	if errors.As(err, &usage) {
		return &stage.UsageError{Reason: "--" + usage.Reason, Hint: usage.Hint}
	}
	return err
}
