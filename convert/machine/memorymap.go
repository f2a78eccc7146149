package machine

import (
	"slices"

	"windmp/physmem"
)

// MemoryMap is where a machine has RAM and where something else, for files that do not
// say it: memory without structure, or with more in it than its tables describe. All
// of it is guest-physical. The zero value knows nothing, and leads to no guess.
type MemoryMap struct {
	// RAM are the regions in which RAM has no hole, ascending. What is between is left
	// out.
	RAM []physmem.Range
	// LowHole is the hole that devices leave in the lowest block of RAM, which begins
	// at address 0, on both sides of it; empty where none do.
	LowHole physmem.Range
	// Devices are where there is no RAM that the system gets, whatever a file holds.
	Devices []physmem.Range
	// Window is where devices have their memory: a piece in it, of a file, that has
	// no more than WindowMost bytes is taken for that of a device.
	Window     physmem.Range
	WindowMost uint64
	// Holes are those of which it is known that files of raw memory leave them out,
	// the more usual ones first.
	Holes []Hole
}

// Hole is a hole that some machines leave for devices.
type Hole struct {
	physmem.Range
	// Least is the size of memory in bytes from which on they do.
	Least uint64
	// Why names the machines.
	Why string
}

// RAMOf cuts out of ranges that a file holds what may be RAM, in whole pages.
func (m *MemoryMap) RAMOf(held []physmem.Range) physmem.Runs {
	var ram []physmem.Range
	for _, r := range held {
		if r.Size <= m.WindowMost && r.Start >= m.Window.Start && r.End() <= m.Window.End() {
			continue
		}
		ram = append(ram, physmem.Subtract(r, m.Devices)...)
	}
	return physmem.RunsOf(ram)
}

// Holes proposes holes for raw memory of size bytes, of a guest on one of the
// machines: none where all of it fits below every machine's hole. Each is only right
// if the guest's own structures are in order with it; without a hole is another
// possibility, as some programs write zeros for it.
func Holes(size uint64, list []*Machine) []Hole {
	var out []Hole
	for _, m := range list {
		for _, h := range m.Map.Holes {
			known := slices.ContainsFunc(out, func(x Hole) bool { return x.Range == h.Range })
			if size > h.Start && size >= h.Least && !known {
				out = append(out, h)
			}
		}
	}
	return out
}
