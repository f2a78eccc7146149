package hyperv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/internal/binio"
	"windmp/physmem"
)

// logHeader is the head of the replay log, to which changes are written before they
// are made. It has 34 bytes; entries follow, and then, where they say, the data.
type logHeader struct {
	Signature      uint32
	Checksum       uint32
	Entries        uint32
	Reserved       uint8
	MaxEntries     uint32
	Tracking       uint8
	TrackingOffset uint64
	TrackingSize   uint32
	TrackingUsed   uint32
}

// logEntry is a change: Size bytes of the log at From belong to file offset To.
type logEntry struct {
	Checksum     uint32
	To           uint64
	Size         uint32
	From         uint64 // from the beginning of the log
	DataChecksum uint32
}

const (
	logSignature  = 0x01110003
	logHeaderSize = 34
	// maxLogEntries caps the changes that are looked at; openvmm's log has room for
	// 145.
	maxLogEntries = 1 << 16
	// logPiece is how many bytes are compared at once.
	logPiece = 1 << 16
)

var _ = [1]byte{}[unsafe.Offsetof(logHeader{}.Checksum)-checksumAt]

// checkLog refuses a file of which changes are still in the replay log alone. Those
// that the file has already are no obstacle: nothing published says whether the host
// empties a log that it has applied.
func (f *file) checkLog() error {
	var h logHeader
	at := f.hdr.LogOffset
	if at == 0 || f.hdr.LogSize == 0 {
		return nil
	}
	b := make([]byte, logHeaderSize)
	if !binio.Within(at, max(f.hdr.LogSize, uint64(len(b))), f.size) {
		f.lacks(at, max(f.hdr.LogSize, uint64(len(b))))
	}
	if !binio.Within(at, uint64(len(b)), f.size) {
		return nil
	}
	if err := f.read(b, at); err != nil {
		return err
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &h); err != nil {
		return err
	}
	switch want := sum(b, checksumAt); {
	case h.Signature != logSignature:
		f.odd.Add(physmem.OddityBadSegment, place(at), "no replay log is where the header says it is").Because("signature 0x%x, want 0x%x", h.Signature, uint32(logSignature))
		return nil
	case h.Checksum != want:
		return f.pending("a replay log whose header has the wrong checksum")
	case h.Entries == 0:
		return nil
	case h.Entries > maxLogEntries:
		return f.pending(fmt.Sprintf("%d changes in its replay log", h.Entries))
	}
	return f.compareLog(h.Entries)
}

// pending refuses a file whose log has something to do.
func (f *file) pending(what string) error {
	return &physmem.UnsupportedError{
		Format: physmem.FormatHyperV,
		What:   "a Hyper-V saved state with " + what + ": it was not written to its end",
		Hint:   "let its host finish it, by starting the Hyper-V service there or importing the machine, and copy it again",
	}
}

// compareLog refuses the file unless all changes of the log are in it.
func (f *file) compareLog(n uint32) error {
	var e logEntry
	b := make([]byte, binary.Size(e))
	at := f.hdr.LogOffset + logHeaderSize
	left := f.hdr.LogSize // what is compared in all
	for i := range n {
		why := fmt.Sprintf("change %d of %d in its replay log", i+1, n)
		if f.ctx.Err() != nil {
			return f.ended()
		}
		if !binio.Within(at, uint64(len(b)), f.size) {
			return f.pending(why + " behind the end of the file")
		}
		if err := f.read(b, at); err != nil {
			return err
		}
		if _, err := binary.Decode(b, binary.LittleEndian, &e); err != nil {
			return err
		}
		at += uint64(len(b))
		size := uint64(e.Size)
		switch {
		case e.Checksum != sum(b, 0):
			return f.pending(why + " damaged")
		case !binio.Within(e.From, size, f.hdr.LogSize) || !binio.Within(f.hdr.LogOffset, f.hdr.LogSize, f.size) || size > left:
			return f.pending(why + " outside the log")
		case !binio.Within(e.To, size, f.size):
			return f.pending(why + " not made: it is behind the end of the file")
		}
		left -= size
		same, err := f.same(f.hdr.LogOffset+e.From, e.To, size)
		if err != nil {
			return err
		}
		if !same {
			return f.pending(why + " not made yet")
		}
	}
	return nil
}

// same reports whether two places in the file hold the same n bytes.
func (f *file) same(a, b, n uint64) (bool, error) {
	var left, right [logPiece]byte
	for n > 0 {
		part := min(n, logPiece)
		if err := f.read(left[:part], a); err != nil {
			return false, err
		}
		if err := f.read(right[:part], b); err != nil {
			return false, err
		}
		if !bytes.Equal(left[:part], right[:part]) {
			return false, nil
		}
		a, b, n = a+part, b+part, n-part
	}
	return true, nil
}
