package search

import (
	"slices"

	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/vtop"
)

// undescribed is how many bytes of a file may be headers and notes, before it is
// supposed to hold memory that its tables do not describe.
const undescribed = 1 << 20

// joinExtents places what lies in the file between two extents of the same RAM
// block: memory that no PT_LOAD names when the guest was dumped with paging on.
// Within a block, file offset less address is constant.
func (v *View) joinExtents() {
	var between []physmem.Range
	list := slices.Collect(v.Image.Extents(0))
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.End() < b.Start && a.Offset+int64(b.Start-a.Start) == b.Offset { //nolint:gosec // addresses below 2^52
			between = append(between, physmem.Range{Start: a.End(), Size: b.Start - a.End()})
		}
	}
	if len(between) > 0 {
		v.place(between)
	}
}

// placeMapped places memory that the file holds and no PT_LOAD names, by the page
// tables: in a region without holes, what lies between two pages that the kernel
// maps is RAM. It does something once, and for files with undescribed memory only.
func (d *discovery) placeMapped(m *machine.Machine, space *vtop.Space) {
	held := physmem.TotalSize(d.view.Image.Ranges())
	if d.placed || !d.view.Image.Located() || held+undescribed > uint64(d.view.Image.FileSize()) { //nolint:gosec // a size
		return
	}
	ram := mappedRAM(m.Map.RAM, space)
	if len(ram) == 0 {
		return
	}
	d.placed = true
	d.view.Proved(m, ram)
}

// mappedRAM is, for each region, the range from the lowest to the highest page
// that the kernel's half of the space maps.
func mappedRAM(regions []physmem.Range, space *vtop.Space) []physmem.Range {
	found := make([]physmem.Range, len(regions))
	space.Mapped(space.Mode.KernelStart, ^vtop.VA(0), maxEntries, func(m vtop.Mapping) bool {
		start := uint64(m.PA) &^ (m.PageSize - 1)
		for i, r := range regions {
			if !r.Contains(start) {
				continue
			}
			end := min(start+m.PageSize, r.End())
			if f := &found[i]; f.Size == 0 {
				*f = physmem.Range{Start: start, Size: end - start}
			} else {
				first, last := min(f.Start, start), max(f.End(), end)
				*f = physmem.Range{Start: first, Size: last - first}
			}
		}
		return true
	})
	var ram []physmem.Range
	for _, f := range found {
		if f.Size > 0 {
			ram = append(ram, f)
		}
	}
	return ram
}
