package hyperv

import (
	"cmp"
	"math"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// maxPieces caps the pieces that memory blocks and missing RAM blocks cut memory into;
// a machine's memory is a few.
const maxPieces = 1 << 18

// isPacked reports whether a block is compressed. A plain one that the file's end cuts
// has whole pages left.
func (r ramBlock) isPacked() bool { return r.size < blockSize && !r.cut }

// memory returns the guest's memory. The RAM blocks one after the other are a space of
// their own, in which a memory block is a stretch: page p of the guest is page
// FirstPage+p-GuestPage there.
func (s *savedState) memory() (physmem.Memory, error) {
	pieces := s.pieces()
	if len(pieces) == 0 {
		return nil, s.noMemory()
	}
	list, clash := extents.Resolve(pieces)
	if clash != nil {
		s.odd.Add(physmem.OddityConflict, 0, "two memory blocks give different places for the same pages; the first one is believed").Because("for guest page 0x%x", clash.PA/physmem.PageSize)
	}
	if s.packed == 0 {
		return extents.New(s.r, inFile(list, s.ram)), nil
	}
	return newPacked(s.r, s.ram, list), nil
}

// noMemory is the error for a state none of whose RAM blocks is there.
func (s *savedState) noMemory() error {
	e := &physmem.FormatError{
		Format: physmem.FormatHyperV, Offset: place(s.blocks[0].at), Field: "RAM blocks", Reason: "none of those that the memory blocks name is in the file",
		Hint: physmem.HintIncomplete,
	}
	if s.until > s.size {
		e.Cut = s.cut()
	}
	return e
}

// pieces returns what the memory blocks have of the RAM blocks, as extents of the
// space of those.
func (s *savedState) pieces() []extents.Piece {
	var out []extents.Piece
	looked, lost := 0, uint64(0)
blocks:
	for i, m := range s.blocks {
		first, end := m.FirstPage*physmem.PageSize, (m.FirstPage+m.Pages)*physmem.PageSize
		have := uint64(0)
		j, _ := slices.BinarySearchFunc(s.ram, first/blockSize, func(r ramBlock, n uint64) int { return cmp.Compare(uint64(r.number), n) })
		for ; j < len(s.ram) && s.ram[j].start() < end; j++ {
			if looked++; looked > 2*maxRAMBlocks || len(out) > maxPieces {
				s.odd.Add(physmem.OddityLimit, place(m.at), "memory blocks that overlap, or with too many gaps; what is from block %d on is left out", m.number)
				break blocks
			}
			from, to := max(first, s.ram[j].start()), min(end, s.ram[j].end())
			if from >= to {
				continue
			}
			have += to - from
			out = appendPiece(out, i, physmem.Extent{
				Range:  physmem.Range{Start: m.GuestPage*physmem.PageSize + from - first, Size: to - from},
				Offset: int64(from), //nolint:gosec // below 2^52
			})
		}
		lost += end - first - have
	}
	if lost > 0 && s.until <= s.size {
		s.odd.Add(physmem.OddityBadSegment, place(s.blocks[0].at), "the memory blocks name RAM blocks that are not in the file: %s of memory are missing", binio.Bytes(lost))
	}
	return out
}

// appendPiece appends an extent of a memory block, joined to the one before if it
// continues it.
func appendPiece(out []extents.Piece, order int, e physmem.Extent) []extents.Piece {
	if n := len(out); n > 0 && out[n-1].Order == order && out[n-1].End() == e.Start && out[n-1].Bias() == e.Bias() {
		out[n-1].Size += e.Size
		return out
	}
	return append(out, extents.Piece{Extent: e, Order: order})
}

// start is where a block begins in the space of RAM blocks, end where that of it ends
// which is there.
func (r ramBlock) start() uint64 { return uint64(r.number) * blockSize }

func (r ramBlock) end() uint64 {
	if r.isPacked() {
		return r.start() + blockSize
	}
	return r.start() + uint64(r.size)
}

// inFile returns extents of the space of RAM blocks as extents of the file, where all
// blocks are plain.
func inFile(list []physmem.Extent, ram []ramBlock) []physmem.Extent {
	var out []physmem.Extent
	for _, e := range list {
		for at := e.Start; at < e.End(); {
			from := e.Part(at, 0).Offset
			r := ram[blockAt(ram, from)]
			n := min(e.End()-at, r.end()-binio.Uint64(from))
			out = extents.Append(out, physmem.Extent{
				Range: physmem.Range{Start: at, Size: n}, Offset: place(r.off + binio.Uint64(from) - r.start()),
			})
			at += n
		}
	}
	return slices.Clip(out)
}

// blockAt returns the index of the block that has an offset of the space of RAM
// blocks, which must be in one.
func blockAt(ram []ramBlock, off int64) int {
	number := min(binio.Uint64(off)/blockSize, math.MaxUint32)
	i, _ := slices.BinarySearchFunc(ram, number, func(r ramBlock, n uint64) int { return cmp.Compare(uint64(r.number), n) })
	return i
}
