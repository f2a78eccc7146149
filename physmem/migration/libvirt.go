package migration

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	// domain is libvirt's name of the machine, empty if it is not known.
	domain string
	// dimms are the addresses of DIMMs by the names of their blocks.
	dimms map[string]uint64
}

// Packing returns how libvirt packed the stream in a save file, "gzip", "bzip2", "xz",
// "lzop" or "zstd", at which file offset it begins, and what stands in front of it, as it
// would if the stream were not packed; empty for all other files.
func Packing(src physmem.Source) (name string, at int64, head []byte) {
	h := make([]byte, libvirtHeaderSize)
	if binio.ReadFull(src, h, 0) != nil || !isLibvirt(h) {
		return "", 0, nil
	}
	s, packing := decodeLibvirt(h)
	head, err := binio.ReadBytes(src, 0, s.stream, libvirtHeaderSize+maxXML)
	if err != nil {
		return "", 0, nil
	}
	clear(head[libvirtPackingAt:][:4])                     // libvirtRaw
	return libvirtPackings[packing], int64(s.stream), head //nolint:gosec // 32 bits and some
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
	case !c.has.Has(s.stream, 1):
		return nil, errCut
	}
	text, err := c.peek(int(min(s.stream-libvirtHeaderSize, maxXML)))
	if err != nil {
		return nil, err
	}
	s.domain, s.dimms = readDomain(text)
	return s, nil
}

// maxXML caps what is read of the domain's XML, which has some tens of KiB.
const maxXML = windowSize

// describe says what libvirt's header says.
func (s *saved) describe() string {
	if s.domain == "" || !binio.IsText([]byte(s.domain)) {
		return "libvirt save file of a guest"
	}
	return fmt.Sprintf("libvirt save file of the guest %q", s.domain)
}

// domain is what is read of libvirt's XML: the machine's name, and where DIMMs are
// (libvirt docs/formatdomain, "Memory devices"). Nothing in the stream says that.
type domain struct {
	name   string
	memory []memoryDevice
}

// A memoryDevice is an element of the XML, and the attributes of its address.
type memoryDevice struct{ model, slot, base string }

// readDomain returns the name of the machine, and the addresses of DIMMs by the names of
// their blocks: libvirt calls the backend of the one in slot 0 memdimm0
// (src/qemu/qemu_command.c).
func readDomain(text []byte) (name string, dimms map[string]uint64) {
	text, _, _ = bytes.Cut(text, []byte{0})
	var d domain
	if d.read(xml.NewDecoder(bytes.NewReader(text))) != nil {
		return "", nil
	}
	dimms = make(map[string]uint64)
	for _, m := range d.memory {
		if base, err := strconv.ParseUint(m.base, 0, 64); err == nil && m.model == "dimm" {
			dimms["memdimm"+m.slot] = base
		}
	}
	return d.name, dimms
}

// read goes through the outermost element. xml.Unmarshal would do the same by reflection,
// which is a large part of that package.
func (d *domain) read(x *xml.Decoder) error {
	const depth = 3 // of the deepest element that is asked for, below the outermost
	var path []string
	for {
		token, err := x.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) <= depth+1 {
				d.enter(strings.Join(path[1:], "/"), t.Attr)
			}
		case xml.CharData:
			if len(path) == 2 && path[1] == "name" {
				d.name += string(t)
			}
		case xml.EndElement:
			if path = path[:len(path)-1]; len(path) == 0 {
				return nil
			}
		}
	}
}

// enter takes what the attributes of an element say.
func (d *domain) enter(element string, attributes []xml.Attr) {
	attr := func(name string) string {
		i := slices.IndexFunc(attributes, func(a xml.Attr) bool { return a.Name.Local == name })
		if i < 0 {
			return ""
		}
		return attributes[i].Value
	}
	switch element {
	case "name":
		d.name = ""
	case "devices/memory":
		d.memory = append(d.memory, memoryDevice{model: attr("model")})
	case "devices/memory/address":
		m := &d.memory[len(d.memory)-1]
		m.slot, m.base = attr("slot"), attr("base")
	}
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
