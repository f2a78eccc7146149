package source

import (
	"context"
	"io"

	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Holds is the format of the memory image that a file is, or that is packed in it, by
// its beginning, and that beginning, unpacked; empty if it is none, or can't be read.
func Holds(ctx context.Context, path string) (is physmem.Format, beginning []byte) {
	f, err := open.NewFileSource(path)
	if err != nil {
		return "", nil
	}
	defer f.Close() //nolint:errcheck // only read
	whole := io.NewSectionReader(f, 0, f.Size())
	if how := pack.Recognise(f); pack.Unpacks(how) {
		beginning = pack.Beginning(how, whole, open.BeginningSize)
	} else {
		beginning = make([]byte, open.BeginningSize)
		n, _ := io.ReadFull(whole, beginning) // of a smaller file all of it
		beginning = beginning[:n]
	}
	return open.Claims(ctx, beginning), beginning
}
