//go:build linux

package main

import (
	"bytes"
	stdzlib "compress/zlib"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"os"
	"runtime"

	"github.com/klauspost/compress/zlib"
	"golang.org/x/sync/errgroup"
)

// inflateMain inflates all pages of a kdump-compressed file that zlib packed, on all
// processors, and does nothing with them: the bound of any conversion.
func inflateMain(args []string) error {
	f := flag.NewFlagSet("inflate", flag.ExitOnError)
	library := f.String("library", "klauspost", "klauspost or std")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("usage: inflate [-library klauspost|std] FILE")
	}
	newInflater := newKlauspost
	if *library == "std" {
		newInflater = newStd
	}
	file, err := os.Open(f.Arg(0))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	return inflateAll(file, newInflater)
}

// The parts of a kdump-compressed file that this needs (makedumpfile
// diskdump_mod.h): it is one that mkbig wrote, or like it.
const (
	block    = 0x1000
	descSize = 24
	flagZlib = 1
	// batch is how many pages one processor inflates at a time.
	batch = 256
	// longest is more than the data of a batch may take.
	longest = batch * block
)

// inflateAll reads the descriptors of a batch and its data, and inflates.
func inflateAll(file *os.File, newInflater func() inflater) error {
	var head [block]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if string(head[:8]) != "KDUMP   " {
		return fmt.Errorf("%s is not a kdump-compressed file, or a flattened one", file.Name())
	}
	subBlocks, bitmapBlocks := int64(le.Uint32(head[0x1b0:])), int64(le.Uint32(head[0x1b4:]))
	bitmap := make([]byte, bitmapBlocks/2*block)
	if _, err := file.ReadAt(bitmap, (1+subBlocks+bitmapBlocks/2)*block); err != nil {
		return err
	}
	count := int64(0)
	for _, b := range bitmap {
		count += int64(bits.OnesCount8(b))
	}
	descs := (1 + subBlocks + bitmapBlocks) * block
	work := make(chan int64)
	var group errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			w := batchInflater{file: file, inflate: newInflater()}
			var first error
			for at := range work {
				if first == nil {
					first = w.run(descs+at*descSize, min(batch, count-at))
				}
			}
			return first
		})
	}
	for at := int64(0); at < count; at += batch {
		work <- at
	}
	close(work)
	return group.Wait()
}

// inflater inflates src to dst.
type inflater func(dst, src []byte) error

// batchInflater is what one processor needs.
type batchInflater struct {
	file    *os.File
	inflate inflater
	descs   [batch * descSize]byte
	data    [longest]byte
	page    [block]byte
}

// run inflates the n pages whose descriptors are at off. Their data lies back to
// back, but for the page of zeros.
func (b *batchInflater) run(off, n int64) error {
	descs := b.descs[:n*descSize]
	if _, err := b.file.ReadAt(descs, off); err != nil {
		return err
	}
	le := binary.LittleEndian
	first, end := int64(-1), int64(0)
	for d := descs; len(d) > 0; d = d[descSize:] {
		if at := int64(le.Uint64(d)); le.Uint32(d[12:]) == flagZlib {
			if first < 0 {
				first = at
			}
			end = at + int64(le.Uint32(d[8:]))
		}
	}
	if first < 0 {
		return nil
	}
	if first > end || end-first > longest {
		return errors.New("the data of adjacent pages is not together")
	}
	data := b.data[:end-first]
	if _, err := b.file.ReadAt(data, first); err != nil {
		return err
	}
	for ; len(descs) > 0; descs = descs[descSize:] {
		if le.Uint32(descs[12:]) != flagZlib {
			continue
		}
		at := int64(le.Uint64(descs)) - first
		if err := b.inflate(b.page[:], data[at:][:le.Uint32(descs[8:])]); err != nil {
			return err
		}
	}
	return nil
}

func newKlauspost() inflater { return newInflater(zlib.NewReader) }

func newStd() inflater { return newInflater(stdzlib.NewReader) }

// newInflater keeps one reader of a library and resets it for each page.
func newInflater(open func(io.Reader) (io.ReadCloser, error)) inflater {
	var (
		src bytes.Reader
		z   io.ReadCloser
	)
	return func(dst, packed []byte) (err error) {
		src.Reset(packed)
		if z == nil {
			z, err = open(&src)
		} else {
			err = z.(stdzlib.Resetter).Reset(&src, nil) //nolint:forcetypeassert,errcheck // both packages say so
		}
		if err != nil {
			return err
		}
		return drain(z, dst)
	}
}

// drain reads a page, and on up to the checksum.
func drain(z io.Reader, dst []byte) error {
	if _, err := io.ReadFull(z, dst); err != nil {
		return err
	}
	var more [1]byte
	if n, err := z.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than a page, or %w", err)
	}
	return nil
}
