package hyperv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unsafe"

	"windmp/internal/binio"
	"windmp/physmem"
)

// header is the header of the file, which is there twice: the valid copy with the
// later sequence counts, as a writer changes one at a time. It has 46 bytes.
type header struct {
	Signature     uint32
	Checksum      uint32
	Sequence      uint16
	Version       uint32
	DataVersion   uint32 // the application's
	Flags         uint32
	Alignment     uint32 // of all objects, bytes
	LogOffset     uint64 // file offset of the replay log
	LogSize       uint64
	LogHeaderSize uint32
}

const (
	signature = 0x01282014
	// headerCopy is where the second copy is, objectsAt the first object table.
	headerCopy = 0x1000
	objectsAt  = 0x2000
	// checksumAt is the offset of Checksum, which counts as zeros in what it is of.
	checksumAt = 4
)

// Format versions, major and minor number of 8 bits (FORMAT.md, Format Versions).
const (
	versionUTF8    = 0x101 // names were UTF-16 before
	versionObjects = 0x301 // checksums of object entries were wrong before
	versionNext    = 0x500 // of which nothing is published; 4.0 is the last
)

var (
	_ = [1]byte{}[unsafe.Offsetof(header{}.Checksum)-checksumAt]
	// magic is the signature as it lies in the file.
	magic = binary.LittleEndian.AppendUint32(nil, signature)
)

// sum returns the checksum of a structure, in which the four bytes at an offset are
// the checksum itself: CRC-32 of IEEE 802.3.
func sum(b []byte, at int) uint32 {
	const size = 4
	c := crc32.ChecksumIEEE(b[:at])
	c = crc32.Update(c, crc32.IEEETable, make([]byte, size))
	return crc32.Update(c, crc32.IEEETable, b[at+size:])
}

// Words for what can't be told from a saved state by its first bytes.
const (
	whatState = "a Hyper-V saved state (.vmrs), or settings of a machine in the same form (.vmcx)"
	hintState = "copy it again once the machine is saved or its checkpoint finished; WinDbg on Windows reads saved states too, and writes a full dump with .dump /f"
)

// readHeader reads the header of the copy that counts.
func (f *file) readHeader() error {
	var (
		named bool
		valid []header
		wrong string
	)
	for _, at := range [...]uint64{0, headerCopy} {
		var h header
		b := make([]byte, min(binary.Size(h), int(binio.Clip(at, objectsAt, f.size)))) //nolint:gosec // at most 0x2000
		if err := f.read(b, at); err != nil {
			return err
		}
		if !bytes.HasPrefix(b, magic) {
			continue
		}
		named = named || at == 0
		if len(b) < binary.Size(h) {
			wrong += fmt.Sprintf("; the one at 0x%x is cut", at)
			continue
		}
		if _, err := binary.Decode(b, binary.LittleEndian, &h); err != nil {
			return err
		}
		if want := sum(b, checksumAt); h.Checksum != want {
			wrong += fmt.Sprintf("; the one at 0x%x has 0x%x, its bytes give 0x%x", at, h.Checksum, want)
			continue
		}
		valid = append(valid, h)
	}
	switch {
	case len(valid) == 0 && !named:
		return physmem.NotMine("no signature of Hyper-V's storage at its start")
	case len(valid) == 0:
		return &physmem.UnsupportedError{
			Format: physmem.FormatHyperV, What: whatState + ", of which no copy of the header has the right checksum" + wrong, Hint: hintState,
		}
	}
	f.hdr = valid[0]
	if len(valid) > 1 && later(valid[1].Sequence, valid[0].Sequence) {
		f.hdr = valid[1]
	}
	if wrong != "" {
		f.odd.Add(physmem.OddityConflict, 0, "one of the two copies of the header is damaged, the other is used%s", wrong)
	}
	if v := f.hdr.Version; v < versionUTF8 || v >= versionNext {
		return &physmem.UnsupportedError{
			Format: physmem.FormatHyperV, What: fmt.Sprintf("%s, in version %s of the format, which is not known here", whatState, dotted(uint64(v))), Hint: hintState,
		}
	}
	return nil
}

// later reports whether a comes after b as sequence numbers count, which wrap.
func later(a, b uint16) bool { return a != b && a-b < 1<<15 }
