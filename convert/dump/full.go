package dump

import "iter"

// Full is a full crash dump (DumpType 1): the header, which lists the runs of
// pages, and the pages.
type Full struct {
	header []byte
	pages  Pages
	size   int64
}

// NewFull makes a full dump of an encoded header and the pages that it lists. most
// is how many runs a header of its kind can list. The error is a [*LimitError].
func NewFull(header []byte, most int, pages Pages) (*Full, error) {
	if uint64(most) < pages.lists { //nolint:gosec // not negative
		return nil, &LimitError{Limit: LimitRuns, Got: pages.lists, Most: uint64(most)} //nolint:gosec // not negative
	}
	size, err := pages.size(uint64(len(header)))
	if err != nil {
		return nil, err
	}
	return &Full{header: header, pages: pages, size: size}, nil
}

// Size implements Layout.
func (f *Full) Size() int64 { return f.size }

// Segments implements Layout.
func (f *Full) Segments() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		_ = yield(Given(f.header)) && f.pages.segments(yield)
	}
}
