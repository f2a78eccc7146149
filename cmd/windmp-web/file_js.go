package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall/js"

	"windmp/physmem"
)

const (
	// blockSize is how much of a file is read at once: what is looked for lies close
	// together, and each read costs a call into the browser.
	blockSize = 64 << 10
	// blocksKept bounds what is kept of all files of a job together.
	blocksKept = 256
)

// file is a File object of the browser as a source. It is read by slices: what is not
// asked for is not read.
type file struct {
	object js.Value
	name   string
	size   int64
	others []*file
	kept   *cache // of all of them
}

// place is where a block lies.
type place struct {
	of    *file
	index int64
}

// cache keeps the blocks of the files of a job that were read last.
type cache struct {
	mu     sync.Mutex
	blocks map[place][]byte
	order  []place // of the blocks, the oldest first
}

// filesOf are the File objects of an array.
func filesOf(array js.Value) []*file {
	list := make([]*file, array.Length())
	kept := &cache{blocks: map[place][]byte{}}
	for i := range list {
		object := array.Index(i)
		list[i] = &file{object: object, name: object.Get("name").String(), size: int64(object.Get("size").Float()), kept: kept}
	}
	for _, f := range list {
		f.others = list
	}
	return list
}

// Size implements [physmem.Source].
func (f *file) Size() int64 { return f.size }

// Name implements [physmem.Source].
func (f *file) Name() string { return f.name }

// OpenSibling implements [physmem.Source]: neighbours are what was chosen with the file.
func (f *file) OpenSibling(name string) (physmem.Source, error) {
	for _, o := range f.others {
		if o != f && o.name == name {
			return o, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("an offset is negative")
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= f.size {
			return n, io.EOF
		}
		b, err := f.block(at / blockSize)
		if err != nil {
			return n, err
		}
		rest := int(at % blockSize)
		if rest >= len(b) {
			return n, io.ErrUnexpectedEOF // it became shorter
		}
		n += copy(p[n:], b[rest:])
	}
	return n, nil
}

// block is a block of the file.
func (f *file) block(i int64) ([]byte, error) {
	return f.kept.get(place{f, i}, func() ([]byte, error) {
		start := i * blockSize
		return f.slice(start, min(start+blockSize, f.size))
	})
}

// get is a block that is kept, or is read and kept.
func (c *cache) get(at place, read func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.blocks[at]; ok {
		return b, nil
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	if len(c.order) == blocksKept {
		delete(c.blocks, c.order[0])
		c.order = c.order[1:]
	}
	c.blocks[at] = b
	c.order = append(c.order, at)
	return b, nil
}

// slice reads a stretch of the file. A worker may read without waiting for the page
// (FileReaderSync, File API). The error is what the browser says: the file is gone, was
// changed, or may not be read.
func (f *file) slice(start, end int64) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			var thrown js.Error
			e, ok := r.(error)
			if !ok || !errors.As(e, &thrown) {
				panic(r)
			}
			err = fmt.Errorf("the browser reads no more of %s: %w", f.name, thrown)
		}
	}()
	reader := js.Global().Get("FileReaderSync").New()
	buffer := reader.Call("readAsArrayBuffer", f.object.Call("slice", float64(start), float64(end)))
	view := js.Global().Get("Uint8Array").New(buffer)
	b = make([]byte, view.Length())
	js.CopyBytesToGo(b, view)
	return b, nil
}
