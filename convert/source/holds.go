package source

import (
	"context"
	"io"

	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Holds is the format of the memory image that a file is, or that is packed in it, by
// its beginning; empty if it is none, or can't be read.
func Holds(ctx context.Context, path string) physmem.Format {
	f, err := open.NewFileSource(path)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	whole := io.NewSectionReader(f, 0, f.Size())
	if how := pack.Recognise(f); pack.Unpacks(how) {
		return open.Claims(ctx, pack.Beginning(how, whole, open.BeginningSize))
	}
	b := make([]byte, open.BeginningSize)
	n, _ := io.ReadFull(whole, b) // of a smaller file all of it
	return open.Claims(ctx, b[:n])
}
