package migration

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// libvirt's header of a save file (libvirt src/qemu/qemu_saveimage.h): magic, then u32
// numbers in the order of the host that wrote it.
const (
	libvirtSaved      = "LibvirtQemudSave"
	libvirtUnfinished = "LibvirtQemudPart"

	libvirtHeaderSize = 0x5c
	libvirtVersionAt  = 0x10
	libvirtXMLSizeAt  = 0x14
	libvirtRunningAt  = 0x18
	libvirtPackingAt  = 0x1c
	libvirtMaxVersion = 2
)

// What the stream behind the header is packed with.
const (
	libvirtRaw    = 0
	libvirtSparse = 6 // mapped-ram
)

var libvirtPackings = map[uint32]string{1: "gzip", 2: "bzip2", 3: "xz", 4: "lzop", 5: "zstd"}

// saved is what libvirt says of the stream behind its header.
type saved struct {
	stream  uint64 // file offset
	running bool   // the guest ran when it was saved
	partial bool   // the save did not finish
}

// isLibvirt reports whether a file begins with libvirt's header.
func isLibvirt(head []byte) bool {
	return bytes.HasPrefix(head, []byte(libvirtSaved)) || bytes.HasPrefix(head, []byte(libvirtUnfinished))
}

// readLibvirt reads the header.
func readLibvirt(c *cursor) (*saved, error) {
	h, err := c.take(libvirtHeaderSize)
	if err != nil {
		return nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(h[libvirtVersionAt:]) > 0xffff {
		order = binary.BigEndian
	}
	version, size, packing := order.Uint32(h[libvirtVersionAt:]), order.Uint32(h[libvirtXMLSizeAt:]), order.Uint32(h[libvirtPackingAt:])
	name, isPacked := libvirtPackings[packing]
	s := &saved{
		stream: libvirtHeaderSize + uint64(size), running: order.Uint32(h[libvirtRunningAt:]) != 0,
		partial: bytes.HasPrefix(h, []byte(libvirtUnfinished)),
	}
	switch {
	case version == 0 || version > libvirtMaxVersion:
		return nil, &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a libvirt save file of version %d; versions 1 and 2 are read", version)}
	case isPacked:
		return nil, &physmem.UnsupportedError{
			Format: physmem.FormatMigration, What: "a libvirt save file whose stream is packed with " + name,
			Hint: fmt.Sprintf("unpack the stream: tail -c +%d FILE | %s -dc > STREAM", s.stream+1, name),
		}
	case packing != libvirtRaw && packing != libvirtSparse:
		return nil, &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a libvirt save file whose stream is packed in a way that is not known, %d", packing)}
	case !binio.Within(s.stream, 1, c.size):
		return nil, errCut
	}
	return s, nil
}
