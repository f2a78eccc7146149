package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/zlib"

	"windmp/physmem"
	"windmp/physmem/open"
)

// The layout of a kdump-compressed file (makedumpfile diskdump_mod.h, QEMU
// dump/dump.h), stated once more here: what is measured does not write its own
// input.
const (
	kdumpBlock   = 0x1000
	kdumpVersion = 6
	kdumpNotesAt = kdumpBlock + 0x68
	descSize     = 24
	flagZlib     = 1
)

// batchPages is how many pages are compressed by one processor at a time.
const batchPages = 256

// writeKdump writes the memory of the core as QEMU's dump-guest-memory does with
// the format kdump-zlib, rearranged: zlib at its fastest, one page of zeros for
// all.
func writeKdump(f *os.File, c *bigCore) error {
	core, err := elf.NewFile(c)
	if err != nil {
		return err
	}
	im, err := open.Source(context.Background(), physmem.NewSource("", c, c.Size()), open.Options{})
	if err != nil {
		return err
	}
	var notes []byte
	for _, p := range core.Progs {
		if p.Type == elf.PT_NOTE {
			if notes, err = io.ReadAll(p.Open()); err != nil {
				return err
			}
		}
	}
	k := newKdump(im.Ranges(), notes)
	if _, err := f.WriteAt(k.front, 0); err != nil {
		return err
	}
	return k.writePages(f, im)
}

// kdump is a file that is being written.
type kdump struct {
	front  []byte // headers, notes, bitmaps
	ranges []physmem.Range
	count  uint64 // pages
}

// newKdump makes what stands before the descriptors.
func newKdump(ranges []physmem.Range, notes []byte) *kdump {
	k := &kdump{ranges: ranges}
	end := uint64(0)
	for _, r := range ranges {
		k.count += r.Size / physmem.PageSize
		end = max(end, r.End()/physmem.PageSize)
	}
	subBlocks := (0x68 + len(notes) + kdumpBlock - 1) / kdumpBlock
	bitmapBlocks := (int(end)/8 + kdumpBlock) / kdumpBlock
	bitmaps := (1 + subBlocks) * kdumpBlock
	b := make([]byte, bitmaps+2*bitmapBlocks*kdumpBlock)
	le := binary.LittleEndian
	copy(b, "KDUMP   ")
	le.PutUint32(b[8:], kdumpVersion)
	copy(b[0xc+4*65:], "x86_64")
	le.PutUint32(b[0x1a8:], flagZlib)
	le.PutUint32(b[0x1ac:], kdumpBlock)
	le.PutUint32(b[0x1b0:], uint32(subBlocks))
	le.PutUint32(b[0x1b4:], uint32(2*bitmapBlocks))
	le.PutUint32(b[0x1b8:], uint32(end))
	le.PutUint32(b[0x1cc:], 1)
	sub := b[kdumpBlock:]
	le.PutUint32(sub[8:], 1)
	le.PutUint64(sub[0x30:], kdumpNotesAt)
	le.PutUint64(sub[0x38:], uint64(len(notes)))
	le.PutUint64(sub[0x60:], end)
	copy(b[kdumpNotesAt:], notes)
	for _, r := range ranges {
		for p := r.Start / physmem.PageSize; p < r.End()/physmem.PageSize; p++ {
			b[bitmaps+int(p/8)] |= 1 << (p % 8)
			b[bitmaps+bitmapBlocks*kdumpBlock+int(p/8)] |= 1 << (p % 8)
		}
	}
	k.front = b
	return k
}

// packed is the data of some pages: one after the other, and the size of each, 0
// for zeros.
type packed struct {
	data  []byte
	sizes []int
	err   error
}

// writePages writes descriptors and data, which are compressed ahead on all
// processors.
func (k *kdump) writePages(f *os.File, im *physmem.Image) error {
	descAt := int64(len(k.front))
	zeroAt := descAt + int64(k.count)*descSize
	descs := bufio.NewWriterSize(io.NewOffsetWriter(f, descAt), block)
	data := bufio.NewWriterSize(io.NewOffsetWriter(f, zeroAt), block)
	_, _ = data.Write(make([]byte, kdumpBlock)) // it keeps its error for Flush
	at := zeroAt + kdumpBlock
	for result := range k.packAhead(im) {
		p := <-result
		if p.err != nil {
			return p.err
		}
		_, _ = data.Write(p.data)
		for _, size := range p.sizes {
			off, flags := at, uint32(flagZlib)
			switch size {
			case 0:
				off, size, flags = zeroAt, kdumpBlock, 0
			case kdumpBlock:
				flags = 0
				fallthrough
			default:
				at += int64(size)
			}
			var d [descSize]byte
			binary.LittleEndian.PutUint64(d[:], uint64(off))
			binary.LittleEndian.PutUint32(d[8:], uint32(size))
			binary.LittleEndian.PutUint32(d[12:], flags)
			_, _ = descs.Write(d[:])
		}
	}
	return errors.Join(descs.Flush(), data.Flush())
}

// packAhead yields the packed pages in order, some of them in the making.
func (k *kdump) packAhead(im *physmem.Image) <-chan chan packed {
	queue := make(chan chan packed, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for _, r := range k.ranges {
			for pa := r.Start; pa < r.End(); {
				n := min(r.End()-pa, batchPages*physmem.PageSize)
				result := make(chan packed, 1)
				queue <- result
				go func(pa uint64) { result <- pack(im, pa, n) }(pa)
				pa += n
			}
		}
	}()
	return queue
}

// pack compresses size bytes from pa on, page by page. A page that does not become
// smaller stays as it is.
func pack(im *physmem.Image, pa, size uint64) packed {
	var (
		p   packed
		b   bytes.Buffer
		raw = make([]byte, size)
	)
	if _, p.err = im.ReadAt(raw, int64(pa)); p.err != nil {
		return p
	}
	w, err := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	if err != nil {
		return packed{err: err}
	}
	for ; len(raw) > 0; raw = raw[kdumpBlock:] {
		page := raw[:kdumpBlock]
		if bytes.Count(page, []byte{0}) == kdumpBlock {
			p.sizes = append(p.sizes, 0)
			continue
		}
		b.Reset()
		w.Reset(&b)
		_, err := w.Write(page)
		if p.err = errors.Join(err, w.Close()); p.err != nil {
			return p
		}
		out := b.Bytes()
		if len(out) >= kdumpBlock {
			out = page
		}
		p.data = append(p.data, out...)
		p.sizes = append(p.sizes, len(out))
	}
	return p
}
