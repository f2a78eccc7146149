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
	version uint32
	stream  uint64 // file offset
	running bool   // the guest ran when it was saved
	partial bool   // the save did not finish
}

// Packing returns how libvirt packed the stream in a save file, "gzip", "bzip2", "xz",
// "lzop" or "zstd", and at which file offset it begins; empty for all other files.
func Packing(src physmem.Source) (name string, at int64) {
	h := make([]byte, libvirtHeaderSize)
	if binio.ReadFull(src, h, 0) != nil || !isLibvirt(h) {
		return "", 0
	}
	s, packing := decodeLibvirt(h)
	return libvirtPackings[packing], int64(s.stream) //nolint:gosec // 32 bits and some
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
	s, packing := decodeLibvirt(h)
	name, isPacked := libvirtPackings[packing]
	switch {
	case s.version == 0 || s.version > libvirtMaxVersion:
		return nil, &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a libvirt save file of version %d; versions 1 and 2 are read", s.version)}
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

// decodeLibvirt decodes the header, whose numbers are in the order of the host that
// wrote it, and says how the stream is packed.
func decodeLibvirt(h []byte) (s *saved, packing uint32) {
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(h[libvirtVersionAt:]) > 0xffff {
		order = binary.BigEndian
	}
	return &saved{
		version: order.Uint32(h[libvirtVersionAt:]), stream: libvirtHeaderSize + uint64(order.Uint32(h[libvirtXMLSizeAt:])),
		running: order.Uint32(h[libvirtRunningAt:]) != 0, partial: bytes.HasPrefix(h, []byte(libvirtUnfinished)),
	}, order.Uint32(h[libvirtPackingAt:])
}
