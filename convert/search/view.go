package search

import (
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/vtop"
)

// View is the image in which a guest is looked for. What is found may place more
// memory: then Image is another one. Whoever reads through the view reads the image
// that it has at that time.
type View struct {
	Image *physmem.Image
	// Recovered is how many bytes of memory were placed that the container does not
	// place.
	Recovered uint64

	cache cache
}

// ReadAt reads guest-physical memory, what is short from whole pages that are kept:
// whoever follows the guest's structures walks the same page tables thousands of times.
func (v *View) ReadAt(p []byte, pa int64) (int, error) { return v.cache.readAt(v.Image, p, pa) }

// Space is an address space of the view with its root in a register of the value root.
func (v *View) Space(root uint64, mode *vtop.Mode) *vtop.Space {
	return vtop.NewSpace(reader{v}, root, mode)
}

// reader reads a view, and can't change it: spaces go out of the room.
type reader struct{ view *View }

// ReadAt implements io.ReaderAt.
func (r reader) ReadAt(p []byte, pa int64) (int, error) { return r.view.ReadAt(p, pa) }

// Proved places memory of which all of ram is certain: what of it the file's layout
// places, and low memory, which is guessed. Recovered counts both.
func (v *View) Proved(m *machine.Machine, ram []physmem.Range) (placed, guessed []physmem.Range) {
	placed = v.place(ram)
	if guessed = v.adoptLow(m, ram); len(guessed) > 0 {
		placed = append(placed, v.place(ram)...)
	}
	return placed, guessed
}

// adoptLow places the RAM below the machine's low hole where nothing maps it, as is
// usual for Windows. What confirms the place is arithmetic: put at physical
// address 0, the beginning of the file's memory leaves a hole of exactly the
// devices' size before the first memory that a PT_LOAD names. A filter that
// cut the beginning off would leave another hole.
func (v *View) adoptLow(m *machine.Machine, ram []physmem.Range) []physmem.Range {
	low := m.Map.LowHole
	if low.Size == 0 {
		return nil
	}
	var sure []physmem.Candidate
	for _, c := range v.Image.Candidates(ram) {
		if c.End() > low.Start {
			break
		}
		next, ok := v.extentAbove(c.End())
		if !ok || next.Start < low.End() {
			continue
		}
		// How far apart in memory and not in the file: the hole.
		hole := int64(next.Start-c.Start) - (next.Offset - c.Offset) //nolint:gosec // both below 2^52
		if hole > 0 && uint64(hole) == low.Size {
			sure = append(sure, c)
		}
	}
	image, placed := v.Image.Adopt(sure...)
	v.Image = image
	v.Recovered += physmem.TotalSize(placed)
	return placed
}

// place makes the view's image one with the memory that is certain of ram, and returns
// what was placed.
func (v *View) place(ram []physmem.Range) []physmem.Range {
	image, placed := v.Image.Recover(ram)
	v.Image = image
	v.Recovered += physmem.TotalSize(placed)
	return placed
}

// extentAbove is the first extent from pa on.
func (v *View) extentAbove(pa uint64) (physmem.Extent, bool) {
	for e := range v.Image.Extents(pa) {
		return e, true
	}
	return physmem.Extent{}, false
}
