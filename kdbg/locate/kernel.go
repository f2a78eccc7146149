package locate

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// InImage searches the kernel image im for its debugger data block and verifies it.
// Of several the one that its list head refers to is taken, else
// the first. Errors: ctx's; [kdbg.ErrNotFound] wrapped with what was wrong with each
// candidate.
func InImage(ctx context.Context, m kdbg.Memory, im *peimage.Image) (*kdbg.Kernel, error) {
	return find(ctx, m, area{
		start: im.Base, size: uint64(im.Size), where: fmt.Sprintf("in the image at %v", im.Base),
		refuse: func(k *kdbg.Kernel) error {
			if vtop.VA(k.Data.KernBase) == im.Base {
				return nil
			}
			return k.Mismatch("KernBase", unsafe.Offsetof(k.Data.KernBase), k.Data.KernBase, fmt.Sprintf("%#x, the image it lies in", uint64(im.Base)))
		},
	})
}

// Near is [InImage] for a kernel whose image can't be told by its
// headers: it searches as much as an image may take on either side of va, which is an
// address in it. A block is taken if it lies in the kernel that it names.
func Near(ctx context.Context, m kdbg.Memory, va vtop.VA) (*kdbg.Kernel, error) {
	start, end := m.Layout.LowestKernel, m.Layout.Last()
	if va-start > peimage.MaxSize {
		start = va&^(physmem.PageSize-1) - peimage.MaxSize
	}
	if end-va > peimage.MaxSize {
		end = va + peimage.MaxSize
	}
	return find(ctx, m, area{
		start: start, size: uint64(end - start), where: fmt.Sprintf("around %v", va),
		refuse: func(k *kdbg.Kernel) error {
			if k.InImage() {
				return nil
			}
			return k.Mismatch("KernBase", unsafe.Offsetof(k.Data.KernBase), k.Data.KernBase, "the image that the block lies in")
		},
	})
}

// area is where a block is searched for.
type area struct {
	start vtop.VA
	size  uint64 // bytes
	where string // for people
	// refuse says why a verified block can't be the one that is searched for.
	refuse func(k *kdbg.Kernel) error
}

func find(ctx context.Context, m kdbg.Memory, in area) (*kdbg.Kernel, error) {
	k, err := searchArea(ctx, m, in, false)
	if err != nil && ctx.Err() == nil && m.Layout.Encodes {
		// Should a driver have registered a block of its own, the links of the
		// kernel's are not equal.
		k, err = searchArea(ctx, m, in, true)
	}
	return k, err
}

func searchArea(ctx context.Context, m kdbg.Memory, in area, anyLinks bool) (*kdbg.Kernel, error) {
	what := search{layouts: []*kdbg.Layout{m.Layout}, anyLinks: anyLinks}
	found, err := blocks(ctx, m.Space.Window(in.start, int64(in.size)), mappedRanges(m, in.start, in.size), what) //nolint:gosec // a few images' size
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // whatever was searched before that
	}
	errs := []error{fmt.Errorf("%w %s", kdbg.ErrNotFound, in.where)}
	var first *kdbg.Kernel
	for _, c := range found {
		k, err := c.Read(m.Space, in.start+vtop.VA(c.At))
		if err == nil {
			err = in.refuse(k)
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case k.Linked():
			return k, nil
		case first == nil:
			first = k
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

// mappedRanges are the pages of size bytes from start on that are mapped, as offsets
// from start.
func mappedRanges(m kdbg.Memory, start vtop.VA, size uint64) []physmem.Range {
	var out []physmem.Range
	for off := uint64(0); off < size; {
		at, err := m.Space.Translate(start + vtop.VA(off))
		if err != nil {
			off += uint64(peimage.NextEntry(m.Space, start+vtop.VA(off), err))
			continue
		}
		n := min(at.PageSize-uint64(at.VA)&(at.PageSize-1), size-off)
		if last := len(out) - 1; last >= 0 && out[last].End() == off {
			out[last].Size += n
		} else {
			out = append(out, physmem.Range{Start: off, Size: n})
		}
		off += n
	}
	return out
}

// Read reads and verifies the candidate at va, whatever memory it was found in.
// Errors are those of [kdbg.Memory.Read] and [kdbg.Memory.Decode].
func (c *Candidate) Read(s *vtop.Space, va vtop.VA) (*kdbg.Kernel, error) {
	e := kdbg.Expect{KernBase: c.KernBase}
	if c.Encoded {
		return c.Layout.In(s).Decode(va, e)
	}
	return c.Layout.In(s).Read(va, e)
}

// Place returns the virtual address, in the kernel's image, of a candidate that
// was found in physical memory: where the list head refers to, or, when that can't
// be, the page of the image that is the candidate's. A copy outside the image has
// none. The space must be one of the candidate's machine.
func (c *Candidate) Place(s *vtop.Space) (vtop.VA, bool) {
	m := c.Layout.In(s)
	if v, err := m.Pointer(c.List); err == nil {
		if at, err := s.Translate(v); err == nil && uint64(at.PA) == c.At {
			return v, true
		}
	}
	size := uint32(peimage.MaxSize)
	if n, err := m.ImageSize(c.KernBase); err == nil {
		size = n
	}
	const inPage = physmem.PageSize - 1
	for off := vtop.VA(0); off < vtop.VA(size); {
		at, err := s.Translate(c.KernBase + off)
		switch {
		case err != nil:
			off += peimage.NextEntry(s, c.KernBase+off, err)
			continue
		case uint64(at.PA) == c.At&^inPage:
			return c.KernBase + off + vtop.VA(c.At&inPage), true
		}
		off += physmem.PageSize
	}
	return 0, false
}
