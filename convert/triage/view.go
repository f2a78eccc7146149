package triage

import (
	"io"
	"math"

	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
)

// view is the guest's memory by virtual address, as the dump is to show it: with the
// plan's edits. The user's half is none of it, unless a process is kept.
type view struct {
	// kernel is the kernel behind its own page tables.
	kernel *kdbg.Kernel
	// spaces are those in which addresses of the kernel are looked up, one after the
	// other: the kernel's own, and that of the shown processor, which alone has the
	// memory of its session.
	spaces []*vtop.Space
	// user is the address space of the process that is kept, nil for none.
	user *vtop.Space
}

func newView(k *kdbg.Kernel, mem io.ReaderAt, root uint64) *view {
	own := *k.Space
	own.Mem = mem
	v := &view{kernel: k.In(&own), spaces: []*vtop.Space{&own}}
	if s := own.At(root); root != 0 && *s != own {
		v.spaces = append(v.spaces, s)
	}
	return v
}

// mayHold says which space an address may be looked up in; none for one that the dump
// must not hold.
func (v *view) mayHold(va vtop.VA) []*vtop.Space {
	switch {
	case v.kernel.IsKernel(va):
		return v.spaces
	case v.user != nil && v.user.Canonical(va):
		return []*vtop.Space{v.user}
	default:
		return nil
	}
}

// read returns what of a range is in memory, page by page, ascending, those that touch
// in one piece, and how many bytes are not. The range ends within the addresses.
func (v *view) read(va vtop.VA, size uint64) (list []piece, absent uint64) {
	buf := make([]byte, size)
	open := false // the last piece goes on
	for done := uint64(0); done < size; {
		at := va + vtop.VA(done)
		n := min(size-done, physmem.PageSize-uint64(at)%physmem.PageSize)
		if part := buf[done : done+n : done+n]; !v.readPage(part, at) {
			absent += n
			open = false
		} else if open {
			last := &list[len(list)-1]
			from := done - last.size
			last.size += n
			last.data = buf[from : done+n : done+n]
		} else {
			list = append(list, piece{va: at, size: n, data: part})
			open = true
		}
		done += n
	}
	return list, absent
}

// readPage fills p, which crosses no page.
func (v *view) readPage(p []byte, va vtop.VA) bool {
	for _, s := range v.mayHold(va) {
		if _, err := s.ReadVirtual(p, va); err == nil {
			return true
		}
	}
	return false
}

// readWhole returns a range with zeros for what is not in memory, and how many bytes
// that is.
func (v *view) readWhole(va vtop.VA, size uint64) (b []byte, absent uint64) {
	b = make([]byte, size)
	list, absent := v.read(va, size)
	for i := range list {
		copy(b[list[i].va-va:], list[i].data)
	}
	return b, absent
}

// readFirst returns what of a range is in memory without a gap from its start on.
func (v *view) readFirst(va vtop.VA, size uint64) []byte {
	var b []byte
	for page := make([]byte, physmem.PageSize); uint64(len(b)) < size; {
		at := va + vtop.VA(len(b))
		n := min(size-uint64(len(b)), physmem.PageSize-uint64(at)%physmem.PageSize)
		if !v.readPage(page[:n], at) {
			break
		}
		b = append(b, page[:n]...)
	}
	return b
}

// clip cuts a range off where the addresses of the machine end.
func (v *view) clip(va vtop.VA, size uint64) uint64 {
	last := vtop.VA(math.MaxUint64 >> (64 - 8*v.kernel.Layout.PointerSize))
	if va > last {
		return 0
	}
	if size != 0 && size-1 > uint64(last-va) {
		return uint64(last-va) + 1
	}
	return size
}

// stamp is what symbol servers know an image by, 0 where that is not readable.
func (v *view) stamp(m *kdbg.Module, build uint32) (timestamp, checkSum uint32) {
	for _, s := range v.spaces {
		if timestamp, checkSum = v.kernel.In(s).ModuleStamp(m, build); timestamp != 0 {
			break
		}
	}
	return timestamp, checkSum
}
