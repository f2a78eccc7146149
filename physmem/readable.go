package physmem

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"windmp/internal/binio"
)

const (
	// readableWindow is what is tried at once for [Image.Readable], in bytes.
	readableWindow = 1 << 20
	// maxUnreadable bounds the pages at which a disk may fail, or whose data is damaged,
	// where it does: 256 MiB. One that fails at more has failed.
	maxUnreadable = 1 << 16
)

// Readable returns a view without the pages at which the system refuses to read the file,
// as a disk with bad sectors does, and without those that can't be decoded, which [Image.Sound]
// can't tell on such a disk, with an oddity that counts each kind; m itself if there are
// none. All of memory is read for that. The error is that of ctx, or the *[ReadError] of a
// file that fails at more than 256 MiB, or otherwise than a disk does.
func (m *Image) Readable(ctx context.Context) (*Image, error) {
	s := readable{ctx: ctx, mem: m.container.Memory, buf: make([]byte, readableWindow)}
	for _, r := range m.container.Memory.Ranges() {
		if err := s.search(r); err != nil {
			return nil, err
		}
	}
	if len(s.bad) == 0 {
		return m, nil
	}
	var odd []Oddity
	if l := &s.refused; l.pages > 0 {
		odd = append(odd, l.oddity(OddityUnreadable, "can't be read from the disk and count as missing"))
	}
	if l := &s.damaged; l.pages > 0 {
		odd = append(odd, l.oddity(OddityDamaged, damagedText))
	}
	c := m.container
	view := m.view(c.without(s.bad, odd))
	view.damage = new(atomic.Bool)
	return view, nil
}

// readable looks for pages that can't be read.
type readable struct {
	ctx context.Context // of the search
	mem Memory
	buf []byte
	bad []Range // ascending
	// refused are those of them that the system refused to read, damaged those that can't
	// be decoded.
	refused, damaged lost
}

// lost is memory that is lost.
type lost struct {
	pages uint64
	size  uint64 // bytes
	first error  // of the first of them
}

// add counts a page.
func (l *lost) add(size uint64, err error) {
	if l.pages == 0 {
		l.first = err
	}
	l.pages++
	l.size += size
}

// oddity says how much that is, and what is so of it.
func (l *lost) oddity(kind OddityKind, so string) Oddity {
	return Oddity{
		Kind: kind, Text: fmt.Sprintf("%s of memory in %s %s", binio.Bytes(l.size), binio.Plural(l.pages, "page"), so),
		Detail: fmt.Sprintf("the first: %v", l.first),
	}
}

// damagedText is what is so of pages that can't be decoded.
const damagedText = "are damaged and count as missing"

// search goes through a range of memory.
func (s *readable) search(r Range) error {
	size := uint64(readableWindow)
	for at := r.Start; at < r.End(); {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		at = min(binio.Uint64(NextData(s.mem, int64(at))), r.End()) //nolint:gosec // an address of memory
		n := min(size, r.End()-at)
		if n == 0 {
			return nil
		}
		got, err := s.mem.ReadAt(s.buf[:n], int64(at)) //nolint:gosec // as above
		switch whole := binio.Uint64(int64(got)) &^ (PageSize - 1); {
		case err == nil:
			at, size = at+n, min(2*size, readableWindow)
		case whole > 0:
			at, size = at+whole, PageSize
		case n > PageSize:
			size = PageSize
		default:
			if err := s.fails(Range{Start: at, Size: n}, err); err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

// fails takes a page that can't be read. The error is that of the page, where it is none of
// a disk or of what is damaged, or one too many.
func (s *readable) fails(page Range, err error) error {
	read, ok := errors.AsType[*ReadError](err)
	switch {
	case !ok, s.refused.pages+s.damaged.pages == maxUnreadable:
		return err
	case read.Damaged:
		s.damaged.add(page.Size, err)
	case read.BySystem():
		s.refused.add(page.Size, err)
	default:
		return err
	}
	if last := len(s.bad) - 1; last >= 0 && s.bad[last].End() == page.Start {
		s.bad[last].Size += page.Size
	} else {
		s.bad = append(s.bad, page)
	}
	return nil
}
