// Package raw opens physical memory without any structure: the file offset is the
// physical address, but for the holes, which the file leaves out.
package raw

import (
	"context"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// Opener returns the opener of raw memory with holes that were checked
// ([physmem.CheckHoles]). It takes every file that is not empty, so it must be asked
// for. looks returns what else a file begins like, empty if it begins like nothing
// that is known.
func Opener(holes []physmem.Range, looks func(src physmem.Source) (string, error)) physmem.Opener {
	return physmem.Opener{Format: physmem.FormatRaw, Open: func(_ context.Context, src physmem.Source) (*physmem.Container, error) {
		if src.Size() <= 0 {
			return nil, physmem.NotMine("it is empty")
		}
		what, err := looks(src)
		if err != nil {
			return nil, err
		}
		f := &rawFile{src: src, size: binio.Uint64(src.Size())}
		if what != "" {
			// It may be right all the same: nothing keeps such bytes from lying at
			// address 0.
			f.odd.Add(physmem.OddityForced, 0, "the file begins like %s and is read as raw memory because that was asked for", what)
		}
		return f.container(holes)
	}}
}

// rawFile is a file of raw memory.
type rawFile struct {
	src  physmem.Source
	size uint64
	odd  physmem.Oddities
}

// memory is raw memory. It is a [physmem.HoleTaker].
type memory struct {
	*extents.Memory
	file *rawFile
}

// WithHoles implements [physmem.HoleTaker].
func (m *memory) WithHoles(holes []physmem.Range) (*physmem.Container, error) {
	return m.file.container(holes)
}

// container lays the file out around holes.
func (f *rawFile) container(holes []physmem.Range) (*physmem.Container, error) {
	holes = physmem.Normalize(holes)
	list, used := extents.Around(f.size, holes)
	if end := list[len(list)-1].End(); end > physmem.MaxAddress {
		return nil, extents.AboveMemory(physmem.FormatRaw, end)
	}
	c := &physmem.Container{Memory: &memory{extents.New(f.src, list), f}, Oddities: f.odd.All()}
	c.Description = "raw memory of " + binio.Bytes(f.size)
	if len(used) > 0 {
		c.Description += ", without " + physmem.JoinRanges(used)
	}
	return c, nil
}
