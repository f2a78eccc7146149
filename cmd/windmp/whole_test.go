package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/stage"
)

// TestTellWhole: a line says before all of a large file is read why and how much, and of
// small files and where nobody wants it nothing is said.
func TestTellWhole(t *testing.T) {
	t.Parallel()
	tell := func(name, progress, log string, quiet bool, w stage.Whole) string {
		var b bytes.Buffer
		a := &app{stderr: &b}
		a.out.progress.Value, a.out.log.Value = progress, log
		toldFor(name, a.tellWhole(quiet))(w)
		return b.String()
	}
	told := func(progress, log string, quiet bool, w stage.Whole) string {
		return tell("guest", progress, log, quiet, w)
	}
	for s, want := range map[stage.Stage]string{
		stage.Unpack: "windmp: guest: it is packed: its 12 GiB are read, and unpacked to a temporary file\n",
		stage.Open:   "windmp: guest: its pages have no table: its 12 GiB are read to the end\n",
		stage.Kernel: "windmp: guest: nothing in it leads to Windows: up to 12 GiB of memory are searched\n",
		stage.Read:   "windmp: guest: its 12 GiB are read to the end\n",
	} {
		assert.Equal(t, want, told("auto", "text", false, stage.Whole{Stage: s, Bytes: 12 << 30}))
	}
	table := stage.Whole{Stage: stage.Open, Table: true, Bytes: 1 << 30}
	assert.Equal(t, "windmp: guest: where its pages lie is in about 1.0 GiB of it, which are read\n", told("auto", "text", false, table))
	fetched := stage.Whole{Stage: stage.Unpack, Fetched: true, Bytes: wholeFromURL}
	assert.Equal(t, "windmp: http://host/x: its server sends no parts: its 4.0 MiB are fetched to a temporary file\n", tell("http://host/x", "auto", "text", false, fetched))
	large := stage.Whole{Stage: stage.Read, Bytes: wholeFrom}
	assert.Contains(t, told("auto", "json", false, large), `"level":"info","message":"guest: its 256 MiB are read to the end"`)
	assert.Empty(t, told("auto", "text", false, stage.Whole{Stage: stage.Read, Bytes: wholeFrom - 1}))
	assert.Empty(t, told("auto", "text", true, large))
	assert.Empty(t, told("none", "text", false, large))
	assert.Empty(t, told("json", "text", false, large), "the progress says it")
	// Of a URL less is much, a copy too, and what is secret stays so.
	copied := stage.Whole{Stage: stage.Write, Bytes: wholeFromURL}
	assert.Equal(t, "windmp: http://host/x: up to 4.0 MiB are read for the copy\n", tell("http://user:hush@host/x?hush", "auto", "text", false, copied))
	copied.Bytes--
	assert.Empty(t, tell("http://host/x", "auto", "text", false, copied))
	copied.Bytes = 1 << 40
	assert.Empty(t, told("auto", "text", false, copied), "a copy of a file is what was asked for")
}

// TestTellAgain: that a server is asked again is said, of each file once in a while, and
// not where nobody wants words.
func TestTellAgain(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	a := &app{stderr: &b}
	a.out.progress.Value, a.out.log.Value = "auto", "text"
	tell := a.tellAgain(false)
	for range 3 {
		tell("http://host/x", errors.New("the server sends nothing"))
		tell("http://host/y", errors.New("the server answers 502 Bad Gateway"))
	}
	assert.Equal(t, "windmp: http://host/x: the server sends nothing; trying again\nwindmp: http://host/y: the server answers 502 Bad Gateway; trying again\n", b.String())
	assert.Nil(t, a.tellAgain(true))
	a.out.progress.Value = "json"
	assert.Nil(t, a.tellAgain(false))
}
