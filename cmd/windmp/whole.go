package main

import (
	"strings"
	"sync"
	"time"

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
	if !a.tells(quiet) {
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

// againEvery is the least time between two lines that say that a server is asked again: a
// copy asks for several parts at a time, and what ails one ails all.
const againEvery = 10 * time.Second

// tellAgain says that a server is asked again, and why: a command that waits for it looks
// as if it did nothing.
func (a *app) tellAgain(quiet bool) func(path string, err error) {
	if !a.tells(quiet) {
		return nil
	}
	var mu sync.Mutex
	last := map[string]time.Time{}
	return func(path string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if t, told := last[path]; told && time.Since(t) < againEvery {
			return
		}
		last[path] = time.Now()
		a.progress.Clear()
		a.say(logLine{Level: levelInfo, Message: path + ": " + err.Error() + "; trying again"})
	}
}

// tells reports whether what takes time is said in words.
func (a *app) tells(quiet bool) bool {
	mode := a.out.progress.Value
	return !quiet && mode != "none" && mode != "json"
}

// tableWords say why a table is read; % is how much that is, as far as it is known before.
const tableWords = "where its pages lie is in about % of it, which are read"

// fetchedWords say why a file is fetched.
const fetchedWords = "its server sends no parts: its % are fetched to a temporary file"

// wholeWords say why all of a file is read, or so much; % is how much.
func wholeWords(w stage.Whole) string {
	switch {
	case w.Table:
		return tableWords
	case w.Fetched:
		return fetchedWords
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
