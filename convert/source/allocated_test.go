//go:build unix

package source_test

import (
	"io/fs"
	"syscall"
)

// allocated is what a file takes on its disk, in bytes.
func allocated(st fs.FileInfo) int64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return st.Size()
}
