package guest

import (
	"io"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/physmem"
)

// recoverMemory gives the image the header's runs as proof of what is RAM, so
// that it can place memory that the file holds and no PT_LOAD names.
func (g *finder) recoverMemory() {
	ram := make([]physmem.Range, 0, len(g.Runs))
	for _, r := range g.Runs {
		ram = append(ram, r.Range())
	}
	placed := g.place(ram)
	guessed := g.adoptLow(g.machine, ram)
	if len(guessed) > 0 {
		placed = append(placed, g.place(ram)...)
	}
	if n := RangesSize(placed); n > 0 {
		g.Recovered += n
		g.Add(finding.Recovered.At(finding.Ranges(placed), "%d bytes of guest memory lie in the file outside its PT_LOADs and were placed by the file's layout", n))
	}
	if n := RangesSize(guessed); n > 0 {
		g.Recovered += n
		g.Add(finding.RecoveredVGA.At(finding.Ranges(guessed),
			"%d bytes below the VGA hole are in no PT_LOAD and were placed by the layout of a PC: the file has room for exactly them and a hole of 128 KiB", n))
	}
}

// RangesSize is the sum of the sizes in bytes.
func RangesSize(list []physmem.Range) (n uint64) {
	for _, r := range list {
		n += r.Size
	}
	return n
}

// adoptLow places the RAM below the machine's low hole where nothing maps it, as is
// usual for Windows. What confirms the place is arithmetic: put at physical
// address 0, the beginning of the file's memory leaves a hole of exactly the
// devices' size before the first memory that a PT_LOAD names. A filter that
// cut the beginning off would leave another hole.
func (g *finder) adoptLow(m *machine.Machine, ram []physmem.Range) []physmem.Range {
	low := m.Map.LowHole
	if low.Size == 0 {
		return nil
	}
	var sure []physmem.Candidate
	for _, c := range g.Image.Candidates(ram) {
		if c.End() > low.Start {
			break
		}
		next, ok := g.extentAbove(c.End())
		if !ok || next.Start < low.End() {
			continue
		}
		// How far apart in memory and not in the file: the hole.
		hole := int64(next.Start-c.Start) - (next.Offset - c.Offset) //nolint:gosec // both below 2^52
		if hole > 0 && uint64(hole) == low.Size {
			sure = append(sure, c)
		}
	}
	view, placed := g.Image.Adopt(sure...)
	g.Image = view
	return placed
}

// place makes the guest's image one with the memory that is certain of ram, and
// returns what was placed.
func (g *finder) place(ram []physmem.Range) []physmem.Range {
	view, placed := g.Image.Recover(ram)
	g.Image = view
	return placed
}

// reader reads the memory of the image that the guest has at the time of the read:
// what is found may place more.
func (g *finder) reader() io.ReaderAt { return imageReader{g} }

type imageReader struct{ g *finder }

func (r imageReader) ReadAt(p []byte, pa int64) (int, error) { return r.g.Image.ReadAt(p, pa) }

// extentAbove is the first extent from pa on.
func (g *finder) extentAbove(pa uint64) (physmem.Extent, bool) {
	for e := range g.Image.Extents(pa) {
		return e, true
	}
	return physmem.Extent{}, false
}
