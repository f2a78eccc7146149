// Package pageset has sets of page numbers: as a dump's bitmap lists them, or as
// they are collected one by one. What a set takes follows its runs, and is never
// more than a bit for each page of the stretches that have members, whatever its
// span; and the caller caps the runs.
package pageset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"

	"windmp/internal/binio"
)

// Set is a set of page numbers. The zero value is empty. Several goroutines may
// use a set that nobody adds to.
type Set struct {
	chunks []*chunk // nil: no members
	count  uint64
}

// ErrTooManyRuns is what Read says of a set in more runs than allowed.
var ErrTooManyRuns = errors.New("too many separate runs of pages")

// ReadError is a failed read of a bitmap.
type ReadError struct {
	Offset int64 // in the file, of the read
	Err    error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("reading a bitmap at offset 0x%x: %v", e.Offset, e.Err)
}

// Unwrap gives the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// Read reads a bitmap of n bits at file offset off, bit i of byte k being page
// 8k+i. It ends with [ErrTooManyRuns] as soon as it has found more than maxRuns
// runs, with a [*ReadError] when the file does, and with the context. A reader that
// knows its holes (NextData, see physmem.DataFinder) need not read them.
func Read(ctx context.Context, r io.ReaderAt, off int64, n, maxRuns uint64) (*Set, error) {
	const batch = 64 * chunkPages / 8
	s := new(Set)
	size := n/8 + (n%8+7)/8
	buf := make([]byte, min((size+7)&^7, batch))
	runs, last := uint64(0), false
	for done := uint64(0); done < size; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if hole := holeAt(r, off+int64(done), size-done); hole > 0 {
			for ; hole > 0; hole -= chunkPages / 8 {
				s.push(nil)
				done += chunkPages / 8
			}
			last = false
			continue
		}
		part := min(size-done, batch)
		at := off + int64(done)
		if err := binio.ReadFull(r, buf[:part], at); err != nil {
			return nil, &ReadError{Offset: at, Err: err}
		}
		if done += part; done == size && n%8 != 0 {
			buf[part-1] &= 1<<(n%8) - 1
		}
		clear(buf[part:])
		whole := (part + 7) &^ 7
		for i := uint64(0); i < whole; i += chunkPages / 8 {
			c := newChunk(buf[i:min(i+chunkPages/8, whole)])
			var more uint64
			more, last = c.runs(last)
			if runs += more; runs > maxRuns {
				return nil, ErrTooManyRuns
			}
			s.push(c)
		}
	}
	return s, nil
}

// holeAt returns how many bytes from an offset on, of size, lie in a hole of the file:
// those of whole chunks.
func holeAt(r io.ReaderAt, off int64, size uint64) uint64 {
	f, ok := r.(interface{ NextData(off int64) int64 })
	if !ok {
		return 0
	}
	const chunkBytes = chunkPages / 8
	return min(binio.Uint64(f.NextData(off)-off), size) / chunkBytes * chunkBytes
}

// push appends a chunk.
func (s *Set) push(c *chunk) {
	s.chunks = append(s.chunks, c)
	if c != nil {
		s.count += uint64(c.count) //nolint:gosec // not negative
	}
}

// Count returns the number of members.
func (s *Set) Count() uint64 { return s.count }

// chunk returns the chunk of a page, nil if it has no members.
func (s *Set) chunk(page uint64) *chunk {
	if i := page / chunkPages; i < uint64(len(s.chunks)) {
		return s.chunks[i]
	}
	return nil
}

// Has reports whether a page is a member.
func (s *Set) Has(page uint64) bool { return s.chunk(page).has(int(page % chunkPages)) }

// Add makes a page a member and reports whether it was none. The set's table of
// chunks grows to page/4096 bytes; the caller bounds the number.
func (s *Set) Add(page uint64) bool {
	if s.Has(page) {
		return false
	}
	s.AddRun(page, page+1)
	return true
}

// AddRun makes the pages from first on, up to the one before behind, members. Where
// they all are already it takes no more than a look at each chunk. As with Add the
// caller bounds the numbers.
func (s *Set) AddRun(first, behind uint64) {
	for first < behind {
		i, at := first/chunkPages, int(first%chunkPages)
		n := min(behind-first, uint64(chunkPages-at))
		for uint64(len(s.chunks)) <= i {
			s.chunks = append(s.chunks, nil)
		}
		c, added := s.chunks[i].with(at, at+int(n)) //nolint:gosec // at most chunkPages
		s.chunks[i] = c
		s.count += uint64(added) //nolint:gosec // not negative
		first += n
	}
}

// Next returns the first member from a page on.
func (s *Set) Next(page uint64) (uint64, bool) {
	at := s.find(page, s.pages(), true)
	return at, at < s.pages()
}

// End returns the first page from a page on that is no member; limit if that is
// not below limit.
func (s *Set) End(page, limit uint64) uint64 {
	return min(s.find(page, min(limit, s.pages()), false), limit)
}

// pages returns the end of the set: all members are below it.
func (s *Set) pages() uint64 { return uint64(len(s.chunks)) * chunkPages }

// find returns the first page from a page on that is a member, or that is none;
// limit or a page above it if there is none below. limit is at most s.pages().
func (s *Set) find(page, limit uint64, member bool) uint64 {
	for page < limit {
		at := s.chunks[page/chunkPages].next(int(page%chunkPages), member)
		page += uint64(at) - page%chunkPages //nolint:gosec // not below it
		if at < chunkPages {
			return page
		}
	}
	return max(page, limit)
}

// Runs yields the members as runs of pages, ascending, none touching another: the
// first page, and the one behind the last.
func (s *Set) Runs() iter.Seq2[uint64, uint64] {
	return func(yield func(first, behind uint64) bool) {
		for at := uint64(0); ; {
			first, ok := s.Next(at)
			if !ok {
				return
			}
			at = s.End(first, math.MaxUint64)
			if !yield(first, at) {
				return
			}
		}
	}
}

// RunCount returns how many runs there are, without walking each of them.
func (s *Set) RunCount() uint64 {
	n, last := uint64(0), false
	for _, c := range s.chunks {
		var more uint64
		more, last = c.runs(last)
		n += more
	}
	return n
}

// First returns the n lowest members, or all. It takes no look at each of them.
func (s *Set) First(n uint64) *Set {
	out := new(Set)
	for _, c := range s.chunks {
		if out.count == n {
			break
		}
		if left := n - out.count; c != nil && uint64(c.count) > left { //nolint:gosec // not negative
			c = c.first(int(left)) //nolint:gosec // less than chunkPages
		}
		out.push(c)
	}
	return out
}

// Filter returns the set of those members that keep wants; it is asked for all
// of them, ascending, with the number of members below each.
func (s *Set) Filter(keep func(page, rank uint64) bool) *Set {
	out := new(Set)
	rank := uint64(0)
	for i, c := range s.chunks {
		if c == nil {
			out.push(nil)
			continue
		}
		kept := new(words)
		for at := c.next(0, true); at < chunkPages; at = c.next(at+1, true) {
			if keep(uint64(i)*chunkPages+uint64(at), rank) { //nolint:gosec // not negative
				kept[at/wordPages] |= 1 << (at % wordPages)
			}
			rank++
		}
		out.push(kept.chunk())
	}
	return out
}

// Ranks tells how many members of a set are below a page. It takes 8 bytes for
// each 128 MiB of the set's span.
type Ranks struct {
	set    *Set
	before []uint64 // members below each chunk
}

// NewRanks counts the members of a set, to which nothing may be added after it.
func NewRanks(s *Set) *Ranks {
	r := &Ranks{set: s, before: make([]uint64, 0, len(s.chunks))}
	n := uint64(0)
	for _, c := range s.chunks {
		r.before = append(r.before, n)
		if c != nil {
			n += uint64(c.count) //nolint:gosec // not negative
		}
	}
	return r
}

// Rank returns the number of members below a page.
func (r *Ranks) Rank(page uint64) uint64 {
	i := page / chunkPages
	if i >= uint64(len(r.before)) {
		return r.set.count
	}
	return r.before[i] + r.set.chunks[i].rank(int(page%chunkPages))
}

// Member returns the member with n members below it; n is less than there are.
func (r *Ranks) Member(n uint64) uint64 {
	i := sort.Search(len(r.before), func(i int) bool { return r.before[i] > n }) - 1
	at := r.set.chunks[i].member(int(n - r.before[i])) //nolint:gosec // less than chunkPages
	return uint64(i)*chunkPages + uint64(at)           //nolint:gosec // not negative
}

// Members is [Ranks.Member] with how many members, at most most, follow each other
// from there on.
func (r *Ranks) Members(n, most uint64) (first, count uint64) {
	first = r.Member(n)
	return first, r.set.End(first, first+most) - first
}
