package ramblock

import (
	"context"
	"errors"

	"windmp/physmem"
)

// Sound implements [physmem.Sieve]: it puts all pages together that take work.
func (m *Memory) Sound(ctx context.Context) (sound physmem.Memory, damaged uint64, first, err error) {
	var bad []physmem.Range
	k := m.reader()
	defer m.release(k)
	for i := range m.places {
		p := &m.places[i]
		for page := p.First; page < p.First+p.Size/pageSize; page++ {
			l := p.Block.locate(page)
			if l.kind() != packed && l.kind() != changed {
				continue
			}
			if ctx.Err() != nil {
				return nil, 0, nil, context.Cause(ctx)
			}
			_, err := m.assemble(k, l)
			var read *physmem.ReadError
			switch {
			case err == nil:
				continue
			case !errors.As(err, &read) || !read.Damaged:
				return nil, 0, nil, err
			case first == nil:
				first = err
			}
			damaged++
			bad = physmem.Normalize(append(bad, physmem.Range{Start: p.Start + (page-p.First)*pageSize, Size: pageSize}))
		}
	}
	if damaged == 0 {
		return nil, 0, nil, nil
	}
	view := &Memory{r: m.r, size: m.size, places: m.places, changes: m.changes, readers: m.readers}
	for _, r := range m.ranges {
		view.ranges = append(view.ranges, physmem.Subtract(r, bad)...)
	}
	return view, damaged, first, nil
}
