package kdbg

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// FindImage returns the image of which va is a part: the nearest MZ below it, on
// a page boundary, whose headers are those of an image of the space's width that
// reaches beyond va.
// It looks at most [MaxImageSize] down. What lies between need not be mapped.
// The error is an [ImageError] about va.
func FindImage(s *vtop.Space, va vtop.VA) (*Image, error) {
	page := va &^ (pageSize - 1)
	for down := vtop.VA(0); down < MaxImageSize && down <= page; {
		base := page - down
		m, err := s.Translate(base)
		if err != nil {
			down += base&(faulting(s, err)-1) + pageSize // to where another entry maps
			continue
		}
		down += pageSize
		if magic, err := s.Uint16(base); err != nil || magic != dosMagic {
			continue
		}
		if n, err := ImageSize(s, m.VA); err == nil && uint64(va-base) < uint64(n) {
			return ReadImage(s, base)
		}
	}
	return nil, &ImageError{Base: va, Field: "e_magic", Want: fmt.Sprintf("an image that holds this address, at most %#x bytes below", MaxImageSize)}
}

// skipUp is how far up the next address is that another entry of the page tables
// maps.
func skipUp(s *vtop.Space, va vtop.VA, err error) vtop.VA {
	size := faulting(s, err)
	return size - va&(size-1)
}

// faulting is how much the entry covers at which a translation ended, bytes.
func faulting(s *vtop.Space, err error) vtop.VA {
	tableShift := 9
	if s.Mode == vtop.ModeLegacy {
		tableShift = 10
	}
	size := vtop.VA(pageSize)
	var fault *vtop.FaultError
	if errors.As(err, &fault) && fault.Level > 1 {
		size <<= tableShift * (fault.Level - 1)
	}
	return size
}

// FindBlock searches the kernel image im for its debugger data block, verifies it
// and returns it. Of several the one that its list head refers to is taken, else
// the first. Errors: ctx's; [ErrNotFound] wrapped with what was wrong with each
// candidate.
func FindBlock(ctx context.Context, s *vtop.Space, im *Image) (*Block, error) {
	block, err := findBlock(ctx, s, im, false)
	if err != nil && ctx.Err() == nil && s.PointerSize() != pointerSize32 {
		// Should a driver have registered a block of its own, the links of the
		// kernel's are not equal.
		block, err = findBlock(ctx, s, im, true)
	}
	return block, err
}

func findBlock(ctx context.Context, s *vtop.Space, im *Image, anyLinks bool) (*Block, error) {
	found, err := locate(ctx, s.Window(im.Base, int64(im.Size)), mappedRanges(s, im), anyLinks)
	if ctx.Err() != nil {
		return nil, err
	}
	errs := []error{fmt.Errorf("%w in the image at %v", ErrNotFound, im.Base)}
	var first *Block
	for _, c := range found {
		if c.Is32 != (s.PointerSize() == pointerSize32) {
			continue
		}
		block, err := c.Block(s, im.Base+vtop.VA(c.At))
		switch {
		case err != nil:
			errs = append(errs, err)
		case vtop.VA(block.Data.KernBase) != im.Base:
			errs = append(errs, block.mismatch("KernBase", unsafe.Offsetof(block.Data.KernBase), block.Data.KernBase, fmt.Sprintf("%#x, the image it lies in", uint64(im.Base))))
		case block.Linked(s):
			return block, nil
		case first == nil:
			first = block
		}
	}
	if first != nil {
		return first, nil
	}
	if err != nil {
		errs = append(errs, err)
	}
	return nil, errors.Join(errs[:min(len(errs), maxReasons)]...)
}

// maxReasons bounds the errors that are joined into one.
const maxReasons = 8

// mappedRanges are the pages of an image that are mapped, as offsets from its base.
func mappedRanges(s *vtop.Space, im *Image) []Range {
	var out []Range
	for off := uint64(0); off < uint64(im.Size); {
		m, err := s.Translate(im.Base + vtop.VA(off))
		if err != nil {
			off += uint64(skipUp(s, im.Base+vtop.VA(off), err))
			continue
		}
		n := min(m.PageSize-uint64(m.VA)&(m.PageSize-1), uint64(im.Size)-off)
		if last := len(out) - 1; last >= 0 && out[last].Start+out[last].Size == off {
			out[last].Size += n
		} else {
			out = append(out, Range{Start: off, Size: n})
		}
		off += n
	}
	return out
}

// Block reads and verifies the candidate at va, whatever memory it was found in.
// Errors are those of [Read] and [Decode].
func (c *Candidate) Block(s *vtop.Space, va vtop.VA) (*Block, error) {
	e := Expect{KernBase: c.KernBase}
	if c.Encoded {
		return Decode(s, va, e)
	}
	return Read(s, va, e)
}

// Linked reports whether the block's list head refers to it: Windows keeps
// KdpDebuggerDataListHead unencoded, and no copy of the block is linked.
func (b *Block) Linked(s *vtop.Space) bool {
	v, err := s.Pointer(vtop.VA(b.Data.Header.List.Flink))
	return err == nil && v == b.VA
}

// Place returns the virtual address, in the kernel's image, of a candidate that
// was found in physical memory: where the list head refers to, or, when that can't
// be, the page of the image that is the candidate's. A copy outside the image has
// none, nor has a candidate of the other width.
func (c *Candidate) Place(s *vtop.Space) (vtop.VA, bool) {
	if c.Is32 != (s.PointerSize() == pointerSize32) {
		return 0, false
	}
	if v, err := s.Pointer(c.List); err == nil {
		if m, err := s.Translate(v); err == nil && uint64(m.PA) == c.At {
			return v, true
		}
	}
	if magic, err := s.Uint16(c.KernBase); err != nil || magic != dosMagic {
		return 0, false
	}
	size := uint32(MaxImageSize)
	if n, err := ImageSize(s, c.KernBase); err == nil {
		size = n
	}
	const inPage = pageSize - 1
	for off := vtop.VA(0); off < vtop.VA(size); {
		m, err := s.Translate(c.KernBase + off)
		switch {
		case err != nil:
			off += skipUp(s, c.KernBase+off, err)
			continue
		case uint64(m.PA) == c.At&^inPage:
			return c.KernBase + off + vtop.VA(c.At&inPage), true
		}
		off += pageSize
	}
	return 0, false
}
