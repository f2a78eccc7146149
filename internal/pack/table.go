package pack

import (
	"errors"
	"io"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"

	"windmp/internal/binio"
)

// readTable reads the table at the end of a file. It is nil where there is none, or one
// that is not believed: it must name all of the file, in frames that can be unpacked in
// memory. The error is that of reading the file.
func readTable(r io.ReaderAt, size int64) (*seekable.SeekTable, error) {
	t := &tableReader{r: r, size: size}
	reader, err := seekable.NewReader(nil, noDecoder{}, seekable.WithReaderEnvironment(t))
	if err != nil {
		return nil, t.err // nil of what is no table
	}
	table, err := reader.SeekTable()
	if err != nil || !plausible(&table, size-t.length) {
		return nil, nil //nolint:nilerr // as of any other zstd
	}
	return &table, nil
}

// plausible reports whether a table can be that of frames of so many bytes.
func plausible(t *seekable.SeekTable, size int64) bool {
	end := uint64(0)
	for id := range t.NumFrames() {
		e, _ := t.EntryByID(id)
		// A frame that is said to hold nothing would never be looked at.
		if e.DecompressedSize == 0 || e.DecompressedSize > maxFrame || e.CompressedSize == 0 || e.CompressedSize > maxPackedFrame {
			return false
		}
		end = e.CompressedOffset + uint64(e.CompressedSize)
	}
	return t.NumFrames() > 0 && size >= 0 && end == uint64(size)
}

// largest is the size of the largest frame, in bytes of what is in it.
func largest(t *seekable.SeekTable) (size int64) {
	for id := range t.NumFrames() {
		e, _ := t.EntryByID(id)
		size = max(size, int64(e.DecompressedSize))
	}
	return size
}

var (
	errNoTable   = errors.New("no table of frames")
	errLongTable = errors.New("the table of frames is too long")
)

// A tableReader reads the end of a file for the library, as much as it may take.
type tableReader struct {
	r            io.ReaderAt
	size, length int64 // of the file, of the table
	err          error // of r
}

// read reads the last n bytes of the file.
func (t *tableReader) read(n int64) ([]byte, error) {
	b := make([]byte, n)
	t.err = binio.ReadFull(t.r, b, t.size-n)
	return b, t.err
}

// ReadFooter implements seekable.ReaderEnvironment.
func (t *tableReader) ReadFooter() ([]byte, error) {
	const footer = 9
	if t.size < footer {
		return nil, errNoTable
	}
	return t.read(footer)
}

// ReadSkipFrame implements seekable.ReaderEnvironment.
func (t *tableReader) ReadSkipFrame(length int64) ([]byte, error) {
	if length > maxTable || length > t.size {
		return nil, errLongTable
	}
	t.length = length
	return t.read(length)
}

// GetFrameByIndex implements seekable.ReaderEnvironment. Frames are not read by the
// library: it unpacks one for each who reads it, and nothing ahead.
func (t *tableReader) GetFrameByIndex(seekable.FrameOffsetEntry) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// noDecoder unpacks nothing, likewise.
type noDecoder struct{}

// DecodeAll implements seekable.ZSTDDecoder.
func (noDecoder) DecodeAll(_, _ []byte) ([]byte, error) { return nil, zstd.ErrDecoderClosed }
