package physmem

import "windmp/internal/binio"

// A Cut says of a file that it ends before what its headers describe.
type Cut struct {
	// Size is what there is, Whole what there should be, bytes; Whole is 0 where
	// that is not known.
	Size, Whole uint64
	// What the bytes are, empty for those of the file.
	What string
}

// String says it for people: "the file is cut: 1.1 of 4.0 MiB are missing".
func (c Cut) String() string {
	const plainly = "the file is cut: "
	if c.Whole <= c.Size {
		return plainly + "it ends after " + binio.Bytes(c.Size)
	}
	s := plainly + binio.PartOf(c.Whole-c.Size, c.Whole)
	if c.What != "" {
		s += " of " + c.What
	}
	return s + " are missing"
}

// Cut returns what the oddities say of a file that is cut, empty if none does.
func (m *Image) Cut() string {
	for _, o := range m.container.Oddities {
		if o.Kind == OddityTruncated {
			return o.Text
		}
	}
	return ""
}
