package dump

import "iter"

// Triage is a small dump (DumpType 4): bytes alone, as pieces of memory stand in it
// by their virtual addresses.
type Triage struct {
	pieces [][]byte
	size   int64
}

// NewTriage makes a layout of all bytes of a small dump, in pieces one behind the
// other. Nobody may change them.
func NewTriage(pieces [][]byte) *Triage {
	t := &Triage{pieces: pieces}
	for _, b := range pieces {
		t.size += int64(len(b))
	}
	return t
}

// Size implements Layout.
func (t *Triage) Size() int64 { return t.size }

// Segments implements Layout.
func (t *Triage) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for _, b := range t.pieces {
			if len(b) > 0 && !yield(Given(b)) {
				return
			}
		}
	}
}
