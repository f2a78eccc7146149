//go:build !unix

package source_test

import "io/fs"

// allocated is not known here.
func allocated(st fs.FileInfo) int64 { return st.Size() }
