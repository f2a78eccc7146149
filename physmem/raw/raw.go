// Package raw opens physical memory without any structure: the file offset is the
// physical address, but for the holes, which the file leaves out.
package raw

import (
	"context"
	"fmt"
	"strings"

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
	list, used := layAround(f.size, holes)
	if end := list[len(list)-1].End(); end > physmem.MaxAddress {
		return nil, &physmem.FormatError{
			Format: physmem.FormatRaw, Field: "file size", Got: fmt.Sprintf("memory up to 0x%x", end),
			Reason: "above the 52 bits of x86 physical memory",
		}
	}
	c := &physmem.Container{Memory: &memory{extents.New(f.src, list), f}, Oddities: f.odd.All()}
	c.Description = fmt.Sprintf("raw memory of 0x%x bytes", f.size)
	if len(used) > 0 {
		c.Description += ", without " + joinRanges(used)
	}
	return c, nil
}

// layAround lays size bytes around sorted, disjoint holes, and returns the
// holes that lie below the end of memory.
func layAround(size uint64, holes []physmem.Range) (list []physmem.Extent, used []physmem.Range) {
	var at, off uint64 // physical address and file offset
	for i := 0; off < size; i++ {
		n := size - off
		if i < len(holes) {
			n = min(n, holes[i].Start-at)
		}
		if n > 0 {
			start, _ := binio.Int64(off) // below size, an int64
			list = append(list, physmem.Extent{Range: physmem.Range{Start: at, Size: n}, Offset: start})
		}
		at, off = at+n, off+n
		if i < len(holes) && off < size {
			used = append(used, holes[i])
			at = holes[i].End()
		}
	}
	return list, used
}

func joinRanges(list []physmem.Range) string {
	s := make([]string, 0, len(list))
	for _, r := range list {
		s = append(s, r.String())
	}
	return strings.Join(s, ", ")
}
