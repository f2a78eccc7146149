package plan

import "windmp/convert/stage"

// SparseMode says what becomes of zeros in an output file.
type SparseMode string

const (
	// SparseAuto leaves holes for stretches of 64 KiB that are zero: what is
	// left is still read and written in large pieces.
	SparseAuto SparseMode = "auto"
	// SparseAlways leaves a hole for every zero page. Free space is not checked
	// beforehand, since it is not known how much the dump takes.
	SparseAlways SparseMode = "always"
	// SparseNever writes every byte.
	SparseNever SparseMode = "never"
)

// ParseSparseMode reads a mode's name; the error is a [*UsageError].
func ParseSparseMode(s string) (SparseMode, error) {
	return stage.ParseMode("sparse", s, SparseAuto, SparseAlways, SparseNever)
}

// grain is the least hole in bytes, 0 for none. It divides blockSize, so that a
// hole never depends on where blocks end.
func (m SparseMode) Grain() int {
	switch m {
	case SparseAlways:
		return 4 << 10
	case SparseNever:
		return 0
	case SparseAuto:
	}
	return 64 << 10
}
