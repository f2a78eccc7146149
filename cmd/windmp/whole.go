package main

import (
	"strings"

	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

// How many bytes are read without a word.
const (
	wholeFrom    = 256 << 20 // of a file: some tenths of a second
	wholeFromURL = 4 << 20   // more than a look takes (docs/performance.md)
)

// tellWhole says before all of a file is read, or a large part of it, that it is, and how
// much that is: it may take minutes where a look else takes none. What shows progress as
// JSON has it in that. A copy is told of where it comes over a network.
func (a *app) tellWhole(quiet bool) func(path string, w stage.Whole) {
	if mode := a.out.progress.Value; quiet || mode == "none" || mode == "json" {
		return func(string, stage.Whole) {}
	}
	return func(path string, w stage.Whole) {
		least, far := int64(wholeFrom), source.Named(path).IsURL()
		if far {
			least = wholeFromURL
		}
		if w.Bytes < least || w.Stage == stage.Write && !far {
			return
		}
		a.progress.Clear()
		a.say(logLine{Level: levelInfo, Message: path + ": " + strings.ReplaceAll(wholeWords(w), "%", binio.Bytes(w.Bytes)), Stage: string(w.Stage)})
	}
}

// tableWords say why a table is read; % is how much that is, as far as it is known before.
const tableWords = "where its pages lie is in about % of it, which are read"

// wholeWords say why all of a file is read, or so much; % is how much.
func wholeWords(w stage.Whole) string {
	if w.Table {
		return tableWords
	}
	return map[stage.Stage]string{
		stage.Unpack: "it is packed: its % are read, and unpacked to a temporary file",
		stage.Open:   "its pages have no table: its % are read to the end",
		stage.Kernel: "nothing in it leads to Windows: up to % of memory are searched",
		stage.Read:   "its % are read to the end",
		stage.Write:  "up to % are read for the copy",
	}[w.Stage]
}

// toldFor is tell of one input, by the name that may be shown.
func toldFor(name string, tell func(string, stage.Whole)) func(stage.Whole) {
	shown := source.Named(name).Path()
	return func(w stage.Whole) { tell(shown, w) }
}
