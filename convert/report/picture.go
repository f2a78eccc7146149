package report

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"windmp/physmem"
)

// PictureCells is how many columns a [Picture] has, about: as many as people tell
// apart on a screen, and so few that a page with it stays small.
const PictureCells = 256

const (
	// pictureParts bounds the parts of a picture.
	pictureParts = 8
	// leastCells is the least that a part gets, so that it can be seen.
	leastCells = 4
	// cutShare: a hole is cut out of the picture that is larger than this share of the
	// memory that there is.
	cutShare = 16
)

// Picture is physical memory drawn to scale, from the lowest address to the highest:
// what each of some rows has in each of the columns. Large holes are cut out.
type Picture struct {
	// Parts are the stretches of the address space that are drawn, ascending.
	Parts []PicturePart
	Rows  []PictureRow
}

// PicturePart is a stretch of physical memory.
type PicturePart struct {
	physmem.Range
	// First is its first column, Cells how many it has.
	First, Cells int
}

// PictureRow is what one has of the memory.
type PictureRow struct {
	// Size is in bytes, of all ranges, those too that no part shows; Ranges counts them.
	Size   uint64
	Ranges int
	// Cells has for each column how much of it is there: 0 for nothing, 100 for all.
	Cells []uint8
	// Parts has the bytes in each part.
	Parts []uint64
}

// Draw draws rows of ranges, each ascending and disjoint. They are gone through once and
// not kept. What is drawn are the stretches that any of shown has.
func Draw(shown [][]physmem.Range, rows ...iter.Seq[physmem.Range]) *Picture {
	p := &Picture{Parts: pictureOf(physmem.Normalize(slices.Concat(shown...)))}
	for _, row := range rows {
		p.Rows = append(p.Rows, p.row(row))
	}
	return p
}

// pictureOf cuts the large holes out of the stretch that the ranges lie in.
func pictureOf(ranges []physmem.Range) []PicturePart {
	most := physmem.TotalSize(ranges) / cutShare
	var parts []PicturePart
	for _, r := range ranges {
		if n := len(parts); n > 0 && r.Start-parts[n-1].End() <= most {
			parts[n-1].Size = r.End() - parts[n-1].Start
			continue
		}
		parts = append(parts, PicturePart{Range: r})
	}
	for len(parts) > pictureParts {
		at := narrowest(parts)
		parts[at].Size = parts[at+1].End() - parts[at].Start
		parts = slices.Delete(parts, at+1, at+2)
	}
	share(parts)
	return parts
}

// narrowest is the part behind which the smallest hole is.
func narrowest(parts []PicturePart) int {
	best := 0
	for i := range len(parts) - 1 {
		if parts[i+1].Start-parts[i].End() < parts[best+1].Start-parts[best].End() {
			best = i
		}
	}
	return best
}

// share gives each part its columns, by its size.
func share(parts []PicturePart) {
	total := uint64(0)
	for _, p := range parts {
		total += p.Size
	}
	at := 0
	for i := range parts {
		p := &parts[i]
		hi, lo := bits.Mul64(p.Size, PictureCells)
		cells, _ := bits.Div64(hi, lo, cmp.Or(total, 1))   // Size is at most total
		p.First, p.Cells = at, max(leastCells, int(cells)) //nolint:gosec // at most PictureCells
		at += p.Cells
	}
}

// cell is where in the part its cell i begins, from the part's start on.
func (p *PicturePart) cell(i int) uint64 {
	hi, lo := bits.Mul64(p.Size, uint64(i))      //nolint:gosec // not negative
	at, _ := bits.Div64(hi, lo, uint64(p.Cells)) //nolint:gosec // i is at most Cells, which is positive
	return at
}

// at is the cell of an offset in the part.
func (p *PicturePart) at(off uint64) int {
	hi, lo := bits.Mul64(off, uint64(p.Cells)) //nolint:gosec // positive
	i, _ := bits.Div64(hi, lo, p.Size)         // off is below Size
	return int(i)                              //nolint:gosec // below Cells
}

// row goes through the ranges of a row.
func (p *Picture) row(ranges iter.Seq[physmem.Range]) PictureRow {
	r := PictureRow{Parts: make([]uint64, len(p.Parts))}
	columns := 0
	for _, part := range p.Parts {
		columns += part.Cells
	}
	held := make([]uint64, columns)
	for x := range ranges {
		r.Size += x.Size
		r.Ranges++
		for i := range p.Parts {
			r.Parts[i] += p.Parts[i].fill(held, x)
		}
	}
	for i := range p.Parts {
		part := &p.Parts[i]
		for c := range part.Cells {
			r.Cells = append(r.Cells, percent(held[part.First+c], part.cell(c+1)-part.cell(c)))
		}
	}
	return r
}

// fill adds to the cells what of a range is in the part, and returns how much that is.
func (p *PicturePart) fill(held []uint64, x physmem.Range) uint64 {
	start, end := max(x.Start, p.Start), min(x.End(), p.End())
	if start >= end {
		return 0
	}
	start, end = start-p.Start, end-p.Start
	for c := p.at(start); c < p.Cells && p.cell(c) < end; c++ {
		from, to := max(start, p.cell(c)), min(end, p.cell(c+1))
		if from < to {
			held[p.First+c] += to - from
		}
	}
	return end - start
}

// percent is never 0 of something, nor 100 of less than all. A cell of no bytes, of a
// part that has fewer than it has cells, is as empty as full.
func percent(part, whole uint64) uint8 {
	switch {
	case part == 0:
		return 0
	case part >= whole:
		return 100
	default:
		return uint8(min(max(float64(part)/float64(whole)*100, 1), 99))
	}
}
