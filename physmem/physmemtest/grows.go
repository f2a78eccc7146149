package physmemtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"

	"windmp/physmem"
	"windmp/physmem/open"
)

// Grows checks that a file is opened while it grows: nobody asks its size before it has
// been gone through, and the image is that of the file as a whole.
func Grows(file []byte) error {
	g := &growing{file: file}
	m, err := open.Source(context.Background(), g, open.Options{})
	if err != nil {
		return err
	}
	want, err := Open(file)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"description", m.Describe(), want.Describe()},
		{"ranges", m.Ranges(), want.Ranges()},
		{"processors", m.CPUs(), want.CPUs()},
		{"oddities", m.Oddities(), want.Oddities()},
		{"guest's note", m.GuestNote(), want.GuestNote()},
		{"size", m.FileSize(), want.FileSize()},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			err = errors.Join(err, fmt.Errorf("%s: got %v, want %v", x.what, x.got, x.want))
		}
	}
	if g.early {
		err = errors.Join(err, fmt.Errorf("the size was asked for when 0x%x of 0x%x bytes had been looked at", g.askedAt, len(file)))
	}
	return err
}

// growing is a source that has as much as was asked for.
type growing struct {
	file []byte
	have int64
	// early says that the size was asked for, askedAt how far it had grown.
	early   bool
	askedAt int64
}

// Reach implements [physmem.Growing].
func (g *growing) Reach(n int64) int64 {
	g.have = max(g.have, min(n, int64(len(g.file))))
	return g.have
}

// Size implements [physmem.Source].
func (g *growing) Size() int64 {
	if g.have < int64(len(g.file)) && !g.early {
		g.early, g.askedAt = true, g.have
	}
	return g.Reach(math.MaxInt64)
}

// ReadAt implements io.ReaderAt.
func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.file[:g.Reach(off+int64(len(p)))]).ReadAt(p, off)
}

// Name implements [physmem.Source].
func (g *growing) Name() string { return "" }

// OpenSibling implements [physmem.Source].
func (g *growing) OpenSibling(name string) (physmem.Source, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
