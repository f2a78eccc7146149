package pageset

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"windmp/internal/binio"
)

const (
	// chunkPages is what a chunk covers: 128 MiB of memory, as much as a page of
	// bitmap does.
	chunkPages = 1 << 15
	chunkWords = chunkPages / wordPages
	wordPages  = 64
	// maxEdges is where a chunk becomes a bitmap: edges of 256 runs are a quarter of
	// its size. It bounds what a set takes to some 17 bytes a run.
	maxEdges = 2 * 256
)

// words has bit i of word n for a chunk's page 64n+i.
type words [chunkWords]uint64

// chunk is a part of a Set, whose pages it counts from 0.
type chunk struct {
	// edges are the first page of each run and the one behind its last, ascending;
	// no two are equal. They are in use where bitmap is nil.
	edges  []uint16
	bitmap *words
	count  int // members
}

// fullChunk is every chunk that has all of its pages. It never changes.
var fullChunk = &chunk{edges: []uint16{0, chunkPages}, count: chunkPages}

// newChunk takes the next chunkPages/8 bytes of a bitmap, or what is left of it, a
// multiple of 8. It is nil when there are no members.
func newChunk(b []byte) *chunk {
	if binio.IsZero(b) { // as most of the bitmap of a large machine is
		return nil
	}
	var w words
	and := ^uint64(0)
	for i := 0; i < len(b); i += wordPages / 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		w[i/8] = v
		and &= v
	}
	if and == ^uint64(0) && len(b) == chunkPages/8 {
		return fullChunk
	}
	return w.chunk()
}

// chunk is a chunk of these members, in the form that takes least.
func (w *words) chunk() *chunk {
	count, edges := w.counts()
	switch {
	case count == 0:
		return nil
	case count == chunkPages:
		return fullChunk
	case edges > maxEdges:
		own := *w
		return &chunk{bitmap: &own, count: count}
	}
	c := &chunk{edges: make([]uint16, 0, edges), count: count}
	for at := 0; at < chunkPages; {
		first := w.find(at, 0)
		if first == chunkPages {
			break
		}
		at = w.find(first, ^uint64(0))
		c.edges = append(c.edges, uint16(first), uint16(at)) //nolint:gosec // at most chunkPages
	}
	return c
}

// counts returns how many members there are, and edges of their runs.
func (w *words) counts() (members, edges int) {
	last := uint64(0) // 1 if the page below is a member
	for _, v := range w {
		members += bits.OnesCount64(v)
		edges += bits.OnesCount64(v ^ (v<<1 | last))
		last = v >> (wordPages - 1)
	}
	return members, edges + int(last)
}

// find returns the first page from a page on whose bit differs from those of
// flip; chunkPages if there is none.
func (w *words) find(page int, flip uint64) int {
	for page < chunkPages {
		if v := (w[page/wordPages] ^ flip) >> (page % wordPages); v != 0 {
			return page + bits.TrailingZeros64(v)
		}
		page = (page/wordPages + 1) * wordPages
	}
	return chunkPages
}

// below returns how many edges are at or below a page: odd inside a run.
func (c *chunk) below(page int) int {
	i, found := slices.BinarySearch(c.edges, uint16(page)) //nolint:gosec // below chunkPages
	if found {
		i++
	}
	return i
}

func (c *chunk) has(page int) bool {
	switch {
	case c == nil:
		return false
	case c.bitmap != nil:
		return c.bitmap[page/wordPages]>>(page%wordPages)&1 != 0
	}
	return c.below(page)%2 == 1
}

// next returns the first member from a page on, or with member false the first
// page that is none; chunkPages if there is none in the chunk.
func (c *chunk) next(page int, member bool) int {
	switch {
	case c == nil && member:
		return chunkPages
	case c == nil:
		return page
	case c.bitmap != nil && member:
		return c.bitmap.find(page, 0)
	case c.bitmap != nil:
		return c.bitmap.find(page, ^uint64(0))
	}
	i := c.below(page)
	if (i%2 == 1) == member {
		return page
	}
	if i == len(c.edges) {
		return chunkPages
	}
	return int(c.edges[i])
}

// rank returns the number of members below a page.
func (c *chunk) rank(page int) uint64 {
	if c == nil {
		return 0
	}
	n := 0
	if c.bitmap == nil {
		for i := 0; i < len(c.edges) && int(c.edges[i]) < page; i += 2 {
			n += min(int(c.edges[i+1]), page) - int(c.edges[i])
		}
		return uint64(n)
	}
	for _, w := range c.bitmap[:page/wordPages] {
		n += bits.OnesCount64(w)
	}
	if page%wordPages != 0 {
		n += bits.OnesCount64(c.bitmap[page/wordPages] & (1<<(page%wordPages) - 1))
	}
	return uint64(n)
}

// member returns the page with n members below it; n is less than the chunk has.
func (c *chunk) member(n int) int {
	at := 0
	if c.bitmap == nil {
		for n >= int(c.edges[at+1])-int(c.edges[at]) {
			n -= int(c.edges[at+1]) - int(c.edges[at])
			at += 2
		}
		return int(c.edges[at]) + n
	}
	for n >= bits.OnesCount64(c.bitmap[at]) {
		n -= bits.OnesCount64(c.bitmap[at])
		at++
	}
	w := c.bitmap[at]
	for range n {
		w &= w - 1 // without its lowest member
	}
	return at*wordPages + bits.TrailingZeros64(w)
}

// with returns a chunk that also has the pages from first up to behind, and how many
// of them are new. It is c itself, changed, unless c is shared or of another form.
func (c *chunk) with(first, behind int) (grown *chunk, added int) {
	if c != nil && c.count == chunkPages {
		return c, 0
	}
	if c == nil || c.bitmap == nil {
		old := c
		c = &chunk{bitmap: old.words()}
		if old != nil {
			c.count = old.count
		}
	}
	for at := first; at < behind; {
		next := min(behind, (at/wordPages+1)*wordPages)
		mask := (^uint64(0) >> (wordPages - (next - at))) << (at % wordPages)
		word := &c.bitmap[at/wordPages]
		added += bits.OnesCount64(mask &^ *word)
		*word |= mask
		at = next
	}
	if c.count += added; c.count == chunkPages {
		return fullChunk, added
	}
	return c, added
}

// runs returns how many runs there are, the first of which continues that of the
// chunk below if that ends with a member, and whether the last page is a member.
func (c *chunk) runs(continued bool) (n uint64, last bool) {
	switch {
	case c == nil:
		return 0, false
	case c.bitmap != nil:
		_, edges := c.bitmap.counts()
		n, last = uint64(edges/2), c.has(chunkPages-1) //nolint:gosec // not negative
	default:
		n, last = uint64(len(c.edges)/2), c.edges[len(c.edges)-1] == chunkPages
	}
	if continued && c.has(0) {
		n--
	}
	return n, last
}

// words returns the members as a bitmap of the caller's own.
func (c *chunk) words() *words {
	w := new(words)
	switch {
	case c == nil:
	case c.bitmap != nil:
		*w = *c.bitmap
	default:
		for i := 0; i < len(c.edges); i += 2 {
			for page := int(c.edges[i]); page < int(c.edges[i+1]); page++ {
				w[page/wordPages] |= 1 << (page % wordPages)
			}
		}
	}
	return w
}

// first returns a chunk of the n lowest members, of which there must be more.
func (c *chunk) first(n int) *chunk {
	kept := new(words)
	for at := c.next(0, true); n > 0; at = c.next(at+1, true) {
		kept[at/wordPages] |= 1 << (at % wordPages)
		n--
	}
	return kept.chunk()
}
