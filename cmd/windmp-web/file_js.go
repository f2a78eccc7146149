package main

import (
	"errors"
	"fmt"
	"syscall/js"

	"windmp/cmd/windmp-web/internal/fileset"
)

// filesOf are the File objects of an array, as sources.
func filesOf(array js.Value) []*fileset.File {
	reader := js.Global().Get("FileReaderSync").New()
	var set fileset.Set
	for i := range array.Length() {
		object := array.Index(i)
		name := object.Get("name").String()
		set.Add(name, int64(object.Get("size").Float()), func(off int64, blocks [][]byte) error {
			if err := slice(reader, object, off, blocks); err != nil {
				return fmt.Errorf("the browser reads no more of %s: %w", name, err)
			}
			return nil
		})
	}
	return set.Files()
}

// slice reads a stretch of a File object, as [fileset.Slice] has it. A worker may read
// without waiting for the page (FileReaderSync, File API). The error is what the browser
// says: the file is gone, was changed, or may not be read.
func slice(reader, object js.Value, off int64, blocks [][]byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			var thrown js.Error
			e, ok := r.(error)
			if !ok || !errors.As(e, &thrown) {
				panic(r)
			}
			err = thrown
		}
	}()
	end := off
	for _, b := range blocks {
		end += int64(len(b))
	}
	buffer := reader.Call("readAsArrayBuffer", object.Call("slice", float64(off), float64(end)))
	if n := buffer.Get("byteLength").Int(); int64(n) != end-off {
		return fmt.Errorf("it became shorter: %d bytes at offset %d, not %d", n, off, end-off)
	}
	at := 0
	for _, b := range blocks {
		js.CopyBytesToGo(b, js.Global().Get("Uint8Array").New(buffer, at, len(b)))
		at += len(b)
	}
	return nil
}
