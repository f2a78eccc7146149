package plan

import "windmp/convert/stage"

// WriteOptions choose how the output is written. The zero value means: never
// overwrite, two workers, fsync before the rename.
type WriteOptions struct {
	// Force allows an existing regular output file to be replaced.
	Force bool
	// Workers is the number of parallel copiers; 0 means [DefaultWorkers], of a
	// kdump-compressed source one for each processor.
	// Values above [MaxWorkers] are lowered to it.
	Workers int
	// Sparse chooses what becomes of zeros in a file; empty means auto.
	Sparse SparseMode
	// NoSync leaves out the fsync of the file and its folder.
	NoSync bool
	// Progress is as that of [Options].
	Progress func(stage.Progress)
}
