package write

import (
	"iter"

	"windmp/convert/dump"
	"windmp/internal/binio"
)

// buffers are of blockSize, for blocks on their way.
var buffers binio.Buffers

// block is one piece of the output.
type block struct {
	seq   int   // its place among the blocks that are written
	off   int64 // in the file
	size  int   // bytes, at most blockSize
	parts []dump.Segment
}

// add appends the first n bytes of s, joined to what they continue.
func (b *block) add(s dump.Segment, n uint64) {
	b.size += int(n) //nolint:gosec // at most blockSize
	if i := len(b.parts) - 1; i >= 0 {
		last := &b.parts[i]
		joins := s.Kind == dump.Zeros || s.Kind == dump.Memory && last.PA+last.Size == s.PA
		if joins && last.Kind == s.Kind {
			last.Size += n
			return
		}
	}
	b.parts = append(b.parts, s.First(n))
}

// room is how many bytes there are from a file offset to the end of its block.
func room(off int64) uint64 { return uint64(blockSize - off%blockSize) }

// blocks yields a layout, cut so that each block ends at a multiple of blockSize in
// the file. With skip, blocks of nothing but known zeros are left out, and their
// bytes told to skip.
func (o *Output) blocks(skip func(n int64)) iter.Seq[block] {
	return func(yield func(block) bool) {
		var b block
		for s := range o.segments() {
			for s.Size > 0 {
				if n := b.skippable(s); skip != nil && n > 0 {
					b.off += n
					skip(n)
					s = s.Behind(uint64(n))
					continue
				}
				n := min(s.Size, room(b.end()))
				b.add(s, n)
				s = s.Behind(n)
				if room(b.end()) != blockSize {
					continue
				}
				if !yield(b) {
					return
				}
				b = block{seq: b.seq + 1, off: b.end()}
			}
		}
		if b.size > 0 {
			yield(b)
		}
	}
}

// end is where the block ends, so far.
func (b *block) end() int64 { return b.off + int64(b.size) }

// skippable is how many bytes of s are whole blocks of zeros, if b, which has nothing yet,
// would begin with them.
func (b *block) skippable(s dump.Segment) int64 {
	if b.size > 0 || s.Kind != dump.Zeros || room(b.off) != blockSize {
		return 0
	}
	return int64(s.Size &^ (blockSize - 1)) //nolint:gosec // at most the file's size
}

// segments yields the layout with the holes of the memory cut out: they are zeros,
// and nothing needs to be read. Only stretches of leastHole and more are asked
// about.
func (o *Output) segments() iter.Seq[dump.Segment] {
	return func(yield func(dump.Segment) bool) {
		for s := range o.Layout.Segments() {
			for s.Size > 0 {
				p := piece(s, o.Memory)
				if !yield(p) {
					return
				}
				s = s.Behind(p.Size)
			}
		}
	}
}

// piece is the first part of s that is all hole or all read.
func piece(s dump.Segment, m Memory) dump.Segment {
	if s.Kind != dump.Memory || s.Size < leastHole {
		return s
	}
	hole := m.NextData(s.PA) - s.PA
	if hole = min(hole, s.Size) &^ (pageSize - 1); hole >= leastHole {
		return dump.Segment{Kind: dump.Zeros, Size: hole}
	}
	return s.First(leastHole)
}
