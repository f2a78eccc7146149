package physmem

import (
	"cmp"
	"fmt"
	"slices"

	"windmp/internal/binio"
)

// An OptionError is an option that makes no sense.
type OptionError struct {
	Option string // "format" or "holes"
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// maxHoles caps the holes that are given; machines have one or two.
const maxHoles = 1 << 10

// CheckHoles returns an *OptionError unless the ranges can be holes of raw memory:
// physical memory in whole pages, disjoint.
func CheckHoles(holes []Range) error {
	refuse := func(format string, args ...any) error {
		return &OptionError{Option: "holes", Reason: fmt.Sprintf(format, args...)}
	}
	if len(holes) > maxHoles {
		return refuse("%d of them, at most %d", len(holes), maxHoles)
	}
	for _, h := range holes {
		end, ok := binio.Sum(h.Start, h.Size)
		switch {
		case !ok || h.Size == 0 || end > MaxAddress:
			return refuse("0x%x bytes from 0x%x are no range of physical memory", h.Size, h.Start)
		case h.Start%PageSize != 0 || h.Size%PageSize != 0:
			return refuse("%v does not begin and end at a page", h)
		}
	}
	sorted := slices.SortedFunc(slices.Values(holes), func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; b.Start < a.End() {
			return refuse("%v and %v overlap", a, b)
		}
	}
	return nil
}
