// Package fileset is the files that a visitor chose, as sources: they are read by slices,
// each of which is a call into the browser that takes a millisecond and more, and of all of
// them together a bounded number of bytes is kept. It knows no browser.
package fileset
