package physmem

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"

	"windmp/internal/binio"
)

// maxPages caps the page frame numbers of a bitmap: 256 TiB of physical
// addresses, which take a bitmap of 8 GiB. x86-64 could address 16 times that.
const maxPages = 1 << 36

// Sizes of pageSet. A chunk covers 128 MiB of memory, as much as a page of
// bitmap does.
const (
	chunkPages = 1 << 15
	chunkWords = chunkPages / 64
	rankWords  = 8 // words of a running count
)

// pageSet is a set of page frame numbers as a bitmap that also knows, at the
// cost of one thirty-second of a bit for each page, how many members are below
// a number. Chunks without members take nothing, and those with nothing but
// members are shared, so that a sparse guest of many TiB is cheap.
type pageSet struct {
	chunks []*pageChunk // nil: no members
	before []uint64     // members below each chunk
	count  uint64
}

// pageChunk is a part of a pageSet. It never changes once it is in use.
type pageChunk struct {
	words  [chunkWords]uint64             // bit i of word n is page 64n+i
	before [chunkWords / rankWords]uint16 // members below each rankWords words
}

// fullChunk is every chunk that holds all of its pages.
var fullChunk = func() *pageChunk {
	c := new(pageChunk)
	for i := range c.words {
		c.words[i] = ^uint64(0)
	}
	c.countUp()
	return c
}()

// countUp sets the running counts, and returns the number of members.
func (c *pageChunk) countUp() uint64 {
	n := 0
	for i, w := range &c.words {
		if i%rankWords == 0 {
			c.before[i/rankWords] = uint16(n)
		}
		n += bits.OnesCount64(w)
	}
	return uint64(n)
}

// readPageSet reads a bitmap of n bits at file offset off, bit i of byte k being
// page 8k+i. It must lie in the file.
func readPageSet(r io.ReaderAt, off int64, n uint64) (*pageSet, error) {
	const batch = 64 * chunkPages / 8
	s := new(pageSet)
	size := (n + 7) / 8
	buf := make([]byte, min((size+7)&^7, batch))
	for done := uint64(0); done < size; {
		part := min(size-done, batch)
		at := off + int64(done)
		if err := binio.ReadFull(r, buf[:part], at); err != nil {
			return nil, &ReadError{Offset: at, Err: err}
		}
		done += part
		if done == size && n%8 != 0 {
			buf[part-1] &= 1<<(n%8) - 1
		}
		clear(buf[part:])
		words := (part + 7) &^ 7
		for i := uint64(0); i < words; i += chunkPages / 8 {
			s.append(buf[i:min(i+chunkPages/8, words)])
		}
	}
	return s, nil
}

// append appends the next chunk's bitmap, a multiple of 8 bytes; what is
// missing of a chunk is empty.
func (s *pageSet) append(b []byte) {
	var or, and uint64 = 0, ^uint64(0)
	for i := 0; i < len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		or |= w
		and &= w
	}
	var c *pageChunk
	switch {
	case or == 0:
	case and == ^uint64(0) && len(b) == chunkPages/8:
		c = fullChunk
	default:
		c = new(pageChunk)
		for i := 0; i < len(b); i += 8 {
			c.words[i/8] = binary.LittleEndian.Uint64(b[i:])
		}
	}
	s.push(c)
}

// push appends a chunk.
func (s *pageSet) push(c *pageChunk) {
	s.chunks = append(s.chunks, c)
	s.before = append(s.before, s.count)
	switch c {
	case nil:
	case fullChunk:
		s.count += chunkPages
	default:
		s.count += c.countUp()
	}
}

// chunk returns the chunk of a page, nil if it has no members.
func (s *pageSet) chunk(page uint64) *pageChunk {
	if i := page / chunkPages; i < uint64(len(s.chunks)) {
		return s.chunks[i]
	}
	return nil
}

// has reports whether a page is a member.
func (s *pageSet) has(page uint64) bool {
	c := s.chunk(page)
	return c != nil && c.words[page%chunkPages/64]>>(page%64)&1 != 0
}

// rank returns the number of members below a page, which must be below the end
// of the set.
func (s *pageSet) rank(page uint64) uint64 {
	n := s.before[page/chunkPages]
	c := s.chunk(page)
	if c == nil {
		return n
	}
	word := page % chunkPages / 64
	n += uint64(c.before[word/rankWords])
	for i := word &^ (rankWords - 1); i < word; i++ {
		n += uint64(bits.OnesCount64(c.words[i])) //nolint:gosec // a count of bits
	}
	return n + uint64(bits.OnesCount64(c.words[word]&(1<<(page%64)-1))) //nolint:gosec // a count of bits
}

// next returns the first member from a page on.
func (s *pageSet) next(page uint64) (uint64, bool) {
	return s.find(page, 0, math.MaxUint64)
}

// end returns the first page from a page on that is no member, limit if that is
// not below limit.
func (s *pageSet) end(page, limit uint64) uint64 {
	if at, ok := s.find(page, ^uint64(0), limit); ok {
		return min(at, limit)
	}
	return min(limit, s.pages())
}

// pages returns the end of the set: all members are below it.
func (s *pageSet) pages() uint64 { return uint64(len(s.chunks)) * chunkPages }

// find returns the first page from a page on whose bit differs from those of
// flip, and false if there is none below limit and the end of the set. The page
// may be a little above limit.
func (s *pageSet) find(page, flip, limit uint64) (uint64, bool) {
	skip := (*pageChunk)(nil)
	if flip != 0 {
		skip = fullChunk
	}
	limit = min(limit, s.pages())
	for page < limit {
		c := s.chunks[page/chunkPages]
		if c == skip {
			page = (page/chunkPages + 1) * chunkPages
			continue
		}
		if c == nil {
			return page, true
		}
		w := (c.words[page%chunkPages/64] ^ flip) >> (page % 64)
		if w != 0 {
			return page + uint64(bits.TrailingZeros64(w)), true //nolint:gosec // below 64
		}
		page = (page/64 + 1) * 64
	}
	return 0, false
}

// runs yields the members as runs of pages, ascending: the first page, and the
// one behind the last.
func (s *pageSet) runs(yield func(first, behind uint64) bool) {
	for at := uint64(0); ; {
		first, ok := s.next(at)
		if !ok {
			return
		}
		at = s.end(first, math.MaxUint64)
		if !yield(first, at) {
			return
		}
	}
}

// runCount returns how many runs there are, without walking each of them.
func (s *pageSet) runCount() uint64 {
	n, last := uint64(0), uint64(0) // last is 1 if the page below is a member
	for _, c := range s.chunks {
		switch c {
		case nil:
			last = 0
			continue
		case fullChunk:
			n += 1 - last
			last = 1
			continue
		}
		for _, w := range &c.words {
			n += uint64(bits.OnesCount64(w &^ (w<<1 | last))) //nolint:gosec // a count of bits
			last = w >> 63
		}
	}
	return n
}

// filter returns the set of those members that keep wants; it is asked for all
// of them, ascending, with their rank.
func (s *pageSet) filter(keep func(page, rank uint64) bool) *pageSet {
	out := new(pageSet)
	rank := uint64(0)
	for i, c := range s.chunks {
		if c == nil {
			out.push(nil)
			continue
		}
		kept := new(pageChunk)
		for j, w := range &c.words {
			for ; w != 0; w &= w - 1 {
				bit := uint64(bits.TrailingZeros64(w)) //nolint:gosec // below 64
				if keep(uint64(i)*chunkPages+uint64(j)*64+bit, rank) {
					kept.words[j] |= 1 << bit
				}
				rank++
			}
		}
		switch kept.countUp() {
		case 0:
			kept = nil
		case chunkPages:
			kept = fullChunk
		}
		out.push(kept)
	}
	return out
}
