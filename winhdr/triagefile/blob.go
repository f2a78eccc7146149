package triagefile

import (
	"encoding/binary"
	"fmt"

	"windmp/winhdr/fields"
)

// Blob is a piece of secondary data: what a driver, or a program that writes
// dumps, gave for whoever knows its tag. Debuggers list them (.enumtag).
type Blob struct {
	Tag  [16]byte // a GUID as it stands in the file
	Data []byte
}

// TagText is a GUID as people write it: the first three numbers of a GUID in the file
// are little-endian.
func TagText(tag [16]byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(tag[:]), le.Uint16(tag[4:]), le.Uint16(tag[6:]), tag[8:10], tag[10:])
}

// blobsHead stands before the blobs: DUMP_BLOB_FILE_HEADER (Microsoft dbghelp's and
// Ghidra's name).
type blobsHead struct {
	Signature   [8]byte // "DumpBlob"
	HeaderSize  uint32  // of this, bytes
	BuildNumber uint32  // 0xf0000000 of a free build, with the build number
}

// blobHead stands before a blob: DUMP_BLOB_HEADER.
type blobHead struct {
	HeaderSize uint32 // of this, bytes
	Tag        [16]byte
	DataSize   uint32 // bytes
	PrePad     uint32 // bytes between this and the data
	PostPad    uint32 // bytes behind the data: up to a multiple of 4
}

var (
	blobsHeadWire, blobHeadWire = fields.Of[blobsHead](), fields.Of[blobHead]()
	dumpBlob                    = [8]byte{'D', 'u', 'm', 'p', 'B', 'l', 'o', 'b'}
)

const (
	// freeBuild marks the build number of a free build.
	freeBuild uint32 = 0xf0000000
	// blobAlign is what blobs begin at a multiple of, from the first on.
	blobAlign = 4
	// maxBlobs is how many blobs are listed; the most seen were 45.
	maxBlobs = 4096
)

// blobsSize is the size of secondary data in bytes.
func blobsSize(blobs []Blob) uint64 {
	if len(blobs) == 0 {
		return 0
	}
	n := uint64(blobsHeadWire.Size()) //nolint:gosec // not negative
	for _, b := range blobs {
		n += uint64(blobHeadWire.Size()) + alignUp(uint64(len(b.Data)), blobAlign) //nolint:gosec // not negative
	}
	return n
}

// encodeBlobs returns secondary data in pieces that follow each other.
func encodeBlobs(blobs []Blob, build uint32) (pieces [][]byte) {
	if len(blobs) == 0 {
		return nil
	}
	size := blobsHeadWire.Size()
	pieces = append(pieces, fields.Encode(&blobsHead{Signature: dumpBlob, HeaderSize: uint32(size), BuildNumber: freeBuild | build}, size)) //nolint:gosec // 0x10
	for _, b := range blobs {
		data := uint64(len(b.Data))
		pad := alignUp(data, blobAlign) - data
		size := blobHeadWire.Size()
		pieces = append(pieces, fields.Encode(&blobHead{HeaderSize: uint32(size), Tag: b.Tag, DataSize: offset32(data), PostPad: offset32(pad)}, size), b.Data, make([]byte, pad)) //nolint:gosec // 0x20
	}
	return pieces
}

// BlobPart is a blob and where its data are.
type BlobPart struct {
	Tag    [16]byte
	Offset uint64 // bytes from the start of the file
	Size   uint32 // bytes
}

// Blobs lists the secondary data behind the dump; nil if there are none. The list
// ends where a header has another size: Windows leaves zeros and more behind some
// lists. What was read before an error is returned with it.
func (t *File) Blobs() ([]BlobPart, error) {
	at := uint64(t.Record.SizeOfDump)
	if t.size < at || t.size-at < uint64(blobsHeadWire.Size()) { //nolint:gosec // not negative
		return nil, nil
	}
	b, err := t.read("secondary data", at, blobsHeadWire.Size())
	if err != nil {
		return nil, err
	}
	head, _ := fields.Decode[blobsHead]("DumpBlob", b, blobsHeadWire.Size()) // which has the right size
	if head.Signature != dumpBlob {
		return nil, nil
	}
	at += uint64(head.HeaderSize)
	var list []BlobPart
	size := uint64(blobHeadWire.Size()) //nolint:gosec // not negative
	for at <= t.size && t.size-at >= size {
		b, err := t.read("header of a blob", at, blobHeadWire.Size())
		if err != nil {
			return list, err
		}
		h, _ := fields.Decode[blobHead]("blob", b, blobHeadWire.Size()) // as above
		if uint64(h.HeaderSize) != size {
			return list, nil
		}
		if len(list) == maxBlobs {
			return list, &Error{Part: "secondary data", Offset: at, Reason: fmt.Sprintf("more than %d blobs", maxBlobs)}
		}
		data := at + size + uint64(h.PrePad) // inside a file, and some 4 GiB more
		if data > t.size || t.size-data < uint64(h.DataSize) {
			return list, &Error{Part: "blob " + TagText(h.Tag), Offset: at, Reason: fmt.Sprintf("its 0x%x bytes pass the end of the file at 0x%x", h.DataSize, t.size)}
		}
		list = append(list, BlobPart{Tag: h.Tag, Offset: data, Size: h.DataSize})
		at = data + uint64(h.DataSize) + uint64(h.PostPad)
	}
	return list, nil
}
