package pack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"windmp/internal/binio"
	"windmp/internal/inflate"
	"windmp/physmem"
)

const (
	// maxDirectory is the most that is read to find the members of a zip, in bytes:
	// room for thousands. Each takes several times of that in memory.
	maxDirectory = 1 << 20
	// maxRecords bounds what archive/zip allocates by a claimed number.
	maxRecords = 0xffff
	// flagEncrypted is a member's flag (APPNOTE 4.4.4).
	flagEncrypted = 1
)

// newZipContents goes through the files of a zip.
func newZipContents(r *io.SectionReader) (*contents, error) {
	if err := checkZipRecords(r); err != nil {
		return nil, err
	}
	budget := &budgetReader{r: r, left: maxDirectory, limited: true}
	z, err := zip.NewReader(budget, r.Size())
	if err != nil {
		return nil, err
	}
	budget.limited = false
	z.RegisterDecompressor(zip.Deflate, inflate.Deflate)
	var opened io.Closer
	c := &contents{kind: Zip}
	c.close = func() {
		if opened != nil {
			_ = opened.Close() // only read
			opened = nil
		}
	}
	files := z.File
	c.next = func() (*member, error) {
		c.close()
		for len(files) > 0 && c.passed.add(zipMode(files[0]), files[0].Name, "") {
			files = files[1:]
		}
		if len(files) == 0 {
			return nil, io.EOF
		}
		f := files[0]
		files = files[1:]
		if f.Flags&flagEncrypted != 0 {
			return nil, &physmem.UnsupportedError{What: "a zip archive whose " + quote(f.Name) + " is encrypted", Hint: hintUnpack}
		}
		m, err := f.Open()
		if errors.Is(err, zip.ErrAlgorithm) {
			return nil, &physmem.UnsupportedError{What: fmt.Sprintf("a zip archive whose %s is packed by method %d; deflate is read", quote(f.Name), f.Method), Hint: hintUnpack}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote(f.Name), err)
		}
		opened = m
		return &member{name: f.Name, size: int64(min(f.UncompressedSize64, 1<<62)), r: m}, nil
	}
	return c, nil
}

// zipMode tells what kind of entry it is. Whatever else its attributes say, what is
// neither a folder nor a link is a file.
func zipMode(f *zip.File) fs.FileMode {
	if strings.HasSuffix(f.Name, "/") {
		return fs.ModeDir
	}
	return f.Mode() & fs.ModeSymlink
}

// A budgetReader reads left bytes while it is limited.
type budgetReader struct {
	r       io.ReaderAt
	left    int64
	limited bool
}

// ReadAt implements io.ReaderAt.
func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if b.limited {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errManyMembers
		}
	}
	return b.r.ReadAt(p, off)
}

// hintUnpack is the way with a member that is not unpacked here.
const hintUnpack = "Unpack it first"

var errManyMembers = &physmem.UnsupportedError{What: "a zip archive with too many members", Hint: "Unpack the one that is meant"}

// checkZipRecords refuses an archive whose end says that it has many members: what reads
// it allocates by that number. The end of a directory is the last one in the file, before
// a comment of at most 64 KiB; that of a zip64 has the number in a record that a locator
// in front of it names (APPNOTE 4.3.14 to 4.3.16). What is odd there is not judged here.
func checkZipRecords(r *io.SectionReader) error {
	const (
		endSize, maxComment     = 22, 0xffff
		locatorSize, recordAt   = 20, 8
		recordSize, recordCount = 56, 32
	)
	tail := make([]byte, min(r.Size(), locatorSize+endSize+maxComment))
	if err := binio.ReadFull(r, tail, r.Size()-int64(len(tail))); err != nil {
		return err
	}
	at := -1
	if len(tail) >= endSize {
		at = bytes.LastIndex(tail[:len(tail)-endSize+4], []byte("PK\x05\x06"))
	}
	if at < 0 {
		return ErrCut // the end is what every archive has
	}
	if at < locatorSize || !bytes.HasPrefix(tail[at-locatorSize:], []byte("PK\x06\x07")) {
		return nil // 16 bits have the number
	}
	var record [recordSize]byte
	off, ok := binio.Int64(binary.LittleEndian.Uint64(tail[at-locatorSize+recordAt:]))
	if !ok || binio.ReadFull(r, record[:], off) != nil {
		return nil // no record, so none that is followed
	}
	if binary.LittleEndian.Uint64(record[recordCount:]) > maxRecords {
		return errManyMembers
	}
	return nil
}
