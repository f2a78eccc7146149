package main

import (
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// block is what is made at once.
const block = 4 << 20

// create makes a file by fill.
func create(path string, fill func(f *os.File) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return fill(f)
}

// writeCore writes the core with its holes, on all processors.
func writeCore(f *os.File, c *bigCore) error {
	if err := f.Truncate(c.Size()); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for off := int64(0); off < c.Size(); {
		if next := c.NextData(off); next > off {
			off = next
			continue
		}
		at := off
		group.Go(func() error {
			buf := make([]byte, block)
			n, err := c.ReadAt(buf, at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			_, err = f.WriteAt(buf[:n], at)
			return err
		})
		off += block
	}
	return group.Wait()
}
