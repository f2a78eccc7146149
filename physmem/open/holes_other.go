//go:build !linux && !darwin

package open

// NextData implements [physmem.DataFinder]: holes are not known here.
func (s *FileSource) NextData(off int64) int64 { return off }
