//go:build !linux && !darwin

package physmem

// NextData implements [DataFinder]: holes are not known here.
func (f diskFile) NextData(off int64) int64 { return off }
