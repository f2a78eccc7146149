package kdump

import (
	"context"
	"errors"
	"sync"

	"windmp/internal/binio"
	"windmp/physmem"
)

// sieveSize is how much a sieve reads at once, bytes: whole pages of any size.
const sieveSize = 1 << 20

// Sound implements [physmem.Sieve]: it decompresses all pages.
func (m *kdumpMemory) Sound(ctx context.Context) (sound physmem.Memory, damaged uint64, first, err error) {
	s := sieve{ctx: ctx, m: m, buf: make([]byte, sieveSize), batch: sieveSize / m.page}
	present := m.present.With(m.present.Filter(func(page, _ uint64) bool { return s.isSound(page) }))
	damaged = m.present.Count() - present.Count()
	if s.failed != nil || damaged == 0 {
		return nil, 0, nil, s.failed
	}
	view := &kdumpMemory{
		r: m.r, size: m.size, page: m.page, described: m.described, present: present, descAt: m.descAt, zero: m.zero, place: m.place,
		united: sync.OnceValue(present.Ranges), readers: make(chan *kdumpReader, kdumpReaders),
	}
	return view, damaged, s.first, nil
}

// sieve finds the damaged pages of a dump, which are asked for in ascending order.
type sieve struct {
	ctx    context.Context // of the search
	m      *kdumpMemory
	buf    []byte // sieveSize
	until  uint64 // all pages that were read, below this one, are sound
	batch  uint64 // how many are read at once: few where damage is
	first  error  // of the first damaged page
	failed error  // what ended the search
}

// isSound reports whether a page, which is present, can be decoded.
func (s *sieve) isSound(page uint64) bool {
	if page < s.until || s.failed != nil {
		return true
	}
	if s.ctx.Err() != nil {
		s.failed = context.Cause(s.ctx)
		return true
	}
	behind := s.m.present.End(page, page+s.batch)
	n, err := s.m.ReadAt(s.buf[:(behind-page)*s.m.page], int64(page*s.m.page)) //nolint:gosec // a page that is present
	s.until = page + binio.Uint64(int64(n))/s.m.page
	var read *physmem.ReadError
	s.batch = min(2*s.batch, sieveSize/s.m.page)
	switch {
	case err == nil:
		return true
	case !errors.As(err, &read) || !read.Damaged:
		s.failed = err
	case s.first == nil:
		s.first = err
	}
	s.batch = 1
	return page < s.until || s.failed != nil
}
