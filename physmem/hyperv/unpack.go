package hyperv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"windmp/physmem"
)

// Records of a compressed RAM block: a number of 32 bits, which is one of these or the
// size of a page's packed data, up to a page (then it is plain), which follows. Source:
// two programs that were made after Microsoft's own, and agree: P. Beyer's snapshot
// tool (vmrs.c) and vmkatz (vmrs.rs).
const (
	recordEnd  = 0xffffffff
	recordFill = 0xfffffffe // 8 bytes follow, which fill a page
	recordRun  = 0xfffffffd // the same, and a u32: of how many pages
	recordPart = 0xfffffffc // two u32 follow: sizes unpacked and packed; then the data
)

// pageMarks is a mark for each page of a RAM block.
type pageMarks [blockPages / 64]uint64

func (m *pageMarks) set(page int)      { m[page/64] |= 1 << (page % 64) }
func (m *pageMarks) has(page int) bool { return m[page/64]&(1<<(page%64)) != 0 }

// blockReader unpacks a RAM block.
type blockReader struct {
	src []byte
	dst []byte // of blockSize bytes
	out int    // bytes of dst that are filled
	bad pageMarks
	err error // the first
}

// errRecord is what is wrong with the records of a block.
var errRecord = errors.New("the records of the compressed block are damaged")

// unpack fills dst, of blockSize bytes, with the memory of a compressed block. It
// returns which pages it could not make, and the first reason.
func unpack(dst, src []byte) (pageMarks, error) {
	r := blockReader{src: src, dst: dst}
	for more := true; more && r.out < len(dst); {
		more = r.record()
	}
	if r.out < len(dst) {
		r.damaged(len(dst)-r.out, fmt.Errorf("%w: they end after 0x%x of 0x%x bytes", errRecord, r.out, len(dst)))
	}
	return r.bad, r.err
}

// damaged marks the pages of the next n bytes, and passes over them.
func (r *blockReader) damaged(n int, err error) {
	if r.err == nil {
		r.err = err
	}
	for page := r.out / physmem.PageSize; page*physmem.PageSize < r.out+n; page++ {
		r.bad.set(page)
	}
	r.out += n
}

// u32 takes a number.
func (r *blockReader) u32() (uint32, bool) {
	b, ok := r.take(4)
	if !ok {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

// take takes n bytes, false if there are fewer.
func (r *blockReader) take(n int) ([]byte, bool) {
	if n > len(r.src) {
		return nil, false
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b, true
}

// record unpacks the next record; false if there is none that can be.
func (r *blockReader) record() bool {
	tag, ok := r.u32()
	size := uint32(physmem.PageSize)
	switch {
	case !ok || tag == recordEnd:
		return false
	case tag == recordFill || tag == recordRun:
		return r.fill(tag == recordRun)
	case tag == recordPart:
		var more bool
		size, ok = r.u32()
		tag, more = r.u32()
		if !ok || !more {
			return false
		}
	}
	if size == 0 || uint64(size) > uint64(len(r.dst)-r.out) || tag == 0 || tag > min(size, physmem.PageSize) { //nolint:gosec // a length
		return false
	}
	src, ok := r.take(int(tag))
	if !ok {
		return false
	}
	dst := r.dst[r.out:][:size]
	if tag == size {
		copy(dst, src)
	} else if err := expand(dst, src); err != nil {
		clear(dst)
		r.damaged(len(dst), err)
		return true
	}
	r.out += len(dst)
	return true
}

// fill fills a page, or as many as the record says.
func (r *blockReader) fill(counted bool) bool {
	const size = 8
	value, ok := r.take(size)
	if !ok {
		return false
	}
	pages := uint32(1)
	if counted {
		if pages, ok = r.u32(); !ok {
			return false
		}
	}
	n := uint64(pages) * physmem.PageSize
	if n > uint64(len(r.dst)-r.out) { //nolint:gosec // a length
		return false
	}
	dst := r.dst[r.out:][:n]
	// Twice as much with each step, from the value on.
	for done := copy(dst, value); done > 0 && done < len(dst); done *= 2 {
		copy(dst[done:], dst[:done])
	}
	r.out += len(dst)
	return true
}
