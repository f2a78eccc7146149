// Package pack packs what is written and unpacks what is to be read: gzip, zstd, zip
// on the way out; gzip, zstd, xz and bzip2 with or without a tar in them, zip and tar on
// the way in.
package pack

import (
	"archive/zip"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/pgzip"
)

// Method is a way of packing.
type Method string

// The ways of packing. Microsoft's debugger engine 10.0.10240 opens a zip that
// holds one dump as it is.
const (
	None Method = ""
	Zstd Method = "zstd"
	Gzip Method = "gzip"
	Zip  Method = "zip"

	// These are unpacked and never written.
	Xz    Method = "xz"
	Bzip2 Method = "bzip2"
	Tar   Method = "tar"
)

// MethodOf is the packing that a file's name asks for: .zst, .gz, .zip.
func MethodOf(name string) Method {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".zst":
		return Zstd
	case ".gz":
		return Gzip
	case ".zip":
		return Zip
	default:
		return None
	}
}

// unwritten are the endings of packed files that are not written.
var unwritten = []string{".xz", ".bz2", ".7z", ".rar", ".lz4", ".lzo", ".tar", ".tgz", ".cab"}

// Unwritten is the ending of a name that asks for a packing that is not written, empty
// for any other: a dump must not look like what it is not.
func Unwritten(name string) string {
	if ext := strings.ToLower(filepath.Ext(name)); slices.Contains(unwritten, ext) {
		return ext
	}
	return ""
}

const (
	// window is how much is packed at a time by each packer, in bytes: it bounds
	// memory use together with their number.
	window = 1 << 20
	// maxPackers bounds that number. With 64 of them gzip was seen to take 160 MiB.
	maxPackers = 16
)

// packers is how many pack at the same time: one for each processor.
func packers() int { return min(runtime.GOMAXPROCS(0), maxPackers) }

// NewWriter packs what is written to it into w, on several processors, as name asks
// for. It is the name of the packed file, of which a zip takes that of the dump in
// it. Close ends the stream and, after an error too, the goroutines; w stays open.
func NewWriter(w io.Writer, name string) (io.WriteCloser, error) {
	switch MethodOf(name) {
	case Zstd:
		return newFrames(w)
	case Gzip:
		return newGzip(w)
	case Zip:
		return newZip(w, strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)))
	case None, Xz, Bzip2, Tar:
	}
	return nopCloser{w}, nil
}

// nopCloser is a writer that needs no closing.
type nopCloser struct{ io.Writer }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// gzipFile is a parallel gzip whose goroutines end with Close, after an error too.
type gzipFile struct{ *pgzip.Writer }

func newGzip(w io.Writer) (io.WriteCloser, error) {
	z := gzipFile{pgzip.NewWriter(w)}
	err := z.SetConcurrency(window, packers())
	return z, err
}

// Close ends the stream. pgzip leaves a goroutine waiting when a write has failed,
// until it is used for another stream.
func (z gzipFile) Close() error {
	err := z.Writer.Close()
	if err != nil {
		z.Reset(io.Discard)
	}
	return err
}

// zipFile is a zip with one entry, open for writing.
type zipFile struct {
	archive *zip.Writer
	io.Writer
}

// newZip starts a zip with one entry. A dump has more than 4 GiB as a rule:
// archive/zip switches to zip64 by itself. What debuggers make of that was not
// tried.
func newZip(w io.Writer, entry string) (io.WriteCloser, error) {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, newDeflate)
	if !strings.HasSuffix(strings.ToLower(entry), ".dmp") {
		entry += ".dmp"
	}
	f, err := z.CreateHeader(&zip.FileHeader{
		Name: entry, Method: zip.Deflate,
		Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), // the earliest; the same dump makes the same zip
	})
	if err != nil {
		return nil, err
	}
	return &zipFile{archive: z, Writer: f}, nil
}

// Close ends the archive.
func (z *zipFile) Close() error { return z.archive.Close() }

// Sizes of what gzip puts around a deflate stream when the header has no
// optional fields (RFC 1952, 2.3).
const (
	gzipHeaderSize  = 10
	gzipTrailerSize = 8
)

// newDeflate makes a raw deflate stream on all processors: that of a parallel
// gzip, without what gzip puts around it.
func newDeflate(w io.Writer) (io.WriteCloser, error) {
	return newGzip(&unwrapper{w: w, skip: gzipHeaderSize})
}

// unwrapper passes on what is written to it, but for the first skip bytes and
// the last gzipTrailerSize, which it holds back.
type unwrapper struct {
	w    io.Writer
	skip int
	held []byte
}

// Write implements io.Writer.
func (u *unwrapper) Write(p []byte) (int, error) {
	n := len(p)
	k := min(u.skip, len(p))
	u.skip -= k
	u.held = append(u.held, p[k:]...)
	ready := len(u.held) - gzipTrailerSize
	if ready <= 0 {
		return n, nil
	}
	if _, err := u.w.Write(u.held[:ready]); err != nil {
		return 0, err
	}
	u.held = append(u.held[:0], u.held[ready:]...)
	return n, nil
}

// Data is the field of a *physmem.FormatError about what is packed.
const Data = "packed data"
