package source

import (
	"path"
	"slices"
	"strings"

	"windmp/internal/binio"
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

// Reach implements [physmem.Growing].
func (u unpacked) Reach(n int64) int64 { return physmem.Reach(u.Source, n) }

// Retry implements [physmem.Retrier].
func (u unpacked) Retry() { physmem.Retry(u.file) }

// NextData implements [physmem.DataFinder].
func (u unpacked) NextData(off int64) int64 { return physmem.NextData(u.Source, off) }

// framed is what is unpacked while it is read.
type framed struct{ unpacked }

// ReadsAll implements [physmem.Foreteller], of what is read where it lies packed: as much
// of the file is read as there is.
func (f framed) ReadsAll(int64) error { return physmem.ReadsAll(f.file, f.file.Size()) }

// ReadsTable implements [physmem.Foreteller], likewise: no more than is unpacked.
func (f framed) ReadsTable(n int64) { physmem.ReadsTable(f.file, binio.Uint64(n)) }
