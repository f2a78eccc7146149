package main

import (
	"errors"
	"syscall/js"

	"windmp/cmd/windmp-web/internal/fileset"
)

// filesOf are the File objects of an array, as sources.
func filesOf(array js.Value) []*fileset.File {
	reader := js.Global().Get("FileReaderSync").New()
	var set fileset.Set
	for i := range array.Length() {
		object := array.Index(i)
		set.Add(object.Get("name").String(), int64(object.Get("size").Float()), func(off int64, blocks [][]byte) error {
			return slice(reader, object, off, blocks)
		})
	}
	return set.Files()
}

// goneError says that a browser reads no more of a file: it is gone, was changed since it
// was chosen, or may not be read. Browsers do not tell which.
type goneError struct{ name string }

func (e *goneError) Error() string {
	return "the browser can't read it any more (" + e.name + "); choose it again"
}

// slice reads a stretch of a File object, as [fileset.Slice] has it. A worker may read
// without waiting for the page (FileReaderSync, File API).
func slice(reader, object js.Value, off int64, blocks [][]byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			var thrown js.Error
			e, ok := r.(error)
			if !ok || !errors.As(e, &thrown) {
				panic(r)
			}
			err = &goneError{thrown.Value.Get("name").String()}
		}
	}()
	end := off
	for _, b := range blocks {
		end += int64(len(b))
	}
	buffer := reader.Call("readAsArrayBuffer", object.Call("slice", float64(off), float64(end)))
	if int64(buffer.Get("byteLength").Int()) != end-off {
		return &goneError{"it became shorter"}
	}
	at := 0
	for _, b := range blocks {
		js.CopyBytesToGo(b, js.Global().Get("Uint8Array").New(buffer, at, len(b)))
		at += len(b)
	}
	return nil
}
