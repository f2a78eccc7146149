package source

import (
	"path"
	"slices"
	"strings"

	"windmp/internal/pack"
	"windmp/physmem"
)

// packed are the endings that packers give a file.
var packed = []string{".gz", ".zst", ".xz", ".bz2"}

// unpacked is what was unpacked of a file: it has that file's neighbours, and its name
// without the packer's ending, by which formats in two files find each other.
type unpacked struct {
	physmem.Source
	file physmem.Source // as it lies
	how  pack.Method    // it was packed
}

// Packing implements [physmem.Packed].
func (u unpacked) Packing() string { return string(u.how) }

// Name implements [physmem.Source].
func (u unpacked) Name() string {
	name := u.file.Name()
	if ext := path.Ext(name); slices.Contains(packed, strings.ToLower(ext)) {
		return strings.TrimSuffix(name, ext)
	}
	return ""
}

// OpenSibling implements [physmem.Source].
func (u unpacked) OpenSibling(name string) (physmem.Source, error) { return u.file.OpenSibling(name) }

// NextData implements [physmem.DataFinder].
func (u unpacked) NextData(off int64) int64 { return physmem.NextData(u.Source, off) }
