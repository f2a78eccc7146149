package physmem

import (
	"iter"
	"slices"

	"windmp/internal/binio"
)

// without is memory without some of its ranges.
type without struct {
	Memory
	ranges []Range
}

// without is the container without ranges of its memory, which are ascending, and with the
// oddities that say so. The memory lies byte by byte in a file where it did, and takes holes
// where it did.
func (c Container) without(bad []Range, odd []Oddity) *Container {
	mem := c.Memory
	w := &without{Memory: mem}
	for _, r := range mem.Ranges() {
		w.ranges = append(w.ranges, Subtract(r, bad)...)
	}
	c.Memory = w
	if l, ok := mem.(Locator); ok {
		located := &locatedWithout{w, l}
		c.Memory = located
		if t, ok := mem.(HoleTaker); ok {
			c.Memory = &holedWithout{located, t, bad, odd}
		}
	}
	c.Oddities = append(slices.Clip(c.Oddities), odd...)
	return &c
}

// Ranges implements [Memory].
func (w *without) Ranges() []Range { return w.ranges }

// from is the first of the ranges that ends behind pa, false if there is none.
func (w *without) from(pa uint64) (Range, bool) {
	i := firstEndingAfter(w.ranges, pa)
	if i == len(w.ranges) {
		return Range{}, false
	}
	return w.ranges[i], true
}

// NextData implements [DataFinder].
func (w *without) NextData(pa int64) int64 {
	if r, ok := w.from(binio.Uint64(pa)); ok && r.Contains(binio.Uint64(pa)) {
		return min(NextData(w.Memory, pa), int64(r.End())) //nolint:gosec // an address of memory
	}
	return pa
}

// ReadAt implements [Memory].
func (w *without) ReadAt(p []byte, pa int64) (n int, err error) {
	for n < len(p) {
		at := binio.Uint64(pa) + binio.Uint64(int64(n))
		switch r, ok := w.from(at); {
		case !ok:
			return n, &NotInImageError{PA: at}
		case r.Start > at:
			return n, &NotInImageError{PA: at, Size: r.Start - at}
		default:
			piece := min(binio.Uint64(int64(len(p)-n)), r.End()-at)
			got, err := w.Memory.ReadAt(p[n:n+int(piece)], int64(at)) //nolint:gosec // at most len(p); an address of memory
			if n += got; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// locatedWithout is without of memory that lies byte by byte in a file.
type locatedWithout struct {
	*without
	locator Locator
}

// Extents implements [Locator].
func (w *locatedWithout) Extents(pa uint64) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		for e := range w.locator.Extents(pa) {
			for _, r := range Within(w.ranges, Range{Start: e.Start, Size: e.Size}) {
				if !yield(e.Part(r.Start, r.Size)) {
					return
				}
			}
		}
	}
}

// holedWithout is locatedWithout of memory that takes holes.
type holedWithout struct {
	*locatedWithout
	taker HoleTaker
	bad   []Range
	odd   []Oddity
}

// WithHoles implements [HoleTaker]: what is left out stays so, wherever it is then.
func (w *holedWithout) WithHoles(holes []Range) (*Container, error) {
	c, err := w.taker.WithHoles(holes)
	if err != nil {
		return nil, err
	}
	var bad []Range
	if l, ok := c.Memory.(Locator); ok {
		bad = moved(w.bad, w.locator, l)
	}
	return c.without(bad, w.odd), nil
}

// moved are the ranges that lie in the file, by to, where those of list do by from.
func moved(list []Range, from, to Locator) (there []Range) {
	var offsets []Range // of the file
	for _, r := range list {
		for e := range from.Extents(r.Start) {
			if e.Start >= r.End() {
				break
			}
			offsets = append(offsets, Range{Start: binio.Uint64(e.Offset), Size: min(e.End(), r.End()) - e.Start})
		}
	}
	offsets = Normalize(offsets)
	for e := range to.Extents(0) {
		for _, o := range Within(offsets, Range{Start: binio.Uint64(e.Offset), Size: e.Size}) {
			there = append(there, Range{Start: o.Start - e.Bias(), Size: o.Size})
		}
	}
	return there
}

// laid is what the memory would have if none of it were left out.
func laid(mem Memory) []Range {
	if w, ok := mem.(*holedWithout); ok {
		return laid(w.Memory)
	}
	return mem.Ranges()
}
