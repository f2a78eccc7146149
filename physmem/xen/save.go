package xen

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"windmp/physmem"
	"windmp/physmem/extents"
)

// savedState is the state of a guest while it is opened.
type savedState struct {
	*file
	kind   string
	window window
	pages  index
	// name is the guest's, where the file has it.
	name string
	// version is that of Xen, cut is set where the stream ends too early.
	version string
	ended   bool
	// state is where the state of the machine lies, its size 0 if there is none.
	state, stateSize uint64
}

// What a saved state may begin with, and the step that reads from there on to the stream
// of pages.
var wrappings = []struct {
	magic, kind string
	enter       func(s *savedState) error
}{
	{magicXL, "saved Xen guest (xl save)", (*savedState).fromXL},
	{magicLibvirt, "saved Xen guest (virsh save)", (*savedState).fromLibvirt},
	{magicLibxl, "saved Xen guest (libxl stream)", func(s *savedState) error { return s.fromLibxl(0) }},
	{magicLibxc, "saved Xen guest (libxc stream)", func(s *savedState) error { return s.fromLibxc(0) }},
	{magicXenops, "saved Xen guest (XenServer, XCP-ng)", (*savedState).fromXenops},
	{magicXenopsOld, "", func(*savedState) error { return refuseLegacy() }},
}

const (
	// magicXL begins what xl save writes (Xen tools/xl/xl.h, SAVEFILE_MAGIC and struct
	// save_file_header).
	magicXL = "Xen saved domain, xl format\n \x00 \r"
	// magicLibvirt begins what virsh save writes of a guest of Xen's (libvirt
	// src/libxl/libxl_conf.h, LIBXL_SAVE_MAGIC and struct _libxlSavefileHeader).
	magicLibvirt = "libvirt-xml\n \x00 \r"
	// magicLibxl begins libxl's stream (docs/specs/libxl-migration-stream.pandoc).
	magicLibxl = "LibxlFmt"
	// magicLibxc begins libxc's stream (docs/specs/libxc-migration-stream.pandoc).
	magicLibxc = "\xff\xff\xff\xff\xff\xff\xff\xffXENF"
	// magicXenops begins what xenopsd of XenServer and XCP-ng writes, the other one what
	// it wrote before (its design document "Suspend image framing format",
	// xc/suspend_image.ml).
	magicXenops    = "XenSavedDomv2-\n"
	magicXenopsOld = "XenSavedDomain\n"
)

func (s *savedState) open(enter func(*savedState) error) (*physmem.Container, error) {
	s.window.file = s.file
	s.pages = index{file: s.file, later: true}
	if err := enter(s); err != nil {
		return nil, err
	}
	list := s.pages.resolve()
	if len(list) == 0 {
		e := &physmem.FormatError{Format: physmem.FormatXen, Field: "stream", Reason: "it holds no page of memory", Hint: physmem.HintIncomplete}
		if !s.ended {
			e.Cut = s.cut(0)
		}
		return nil, e
	}
	if !s.ended {
		s.odd.Add(physmem.OddityTruncated, 0, "%s, before the end of the stream", s.cut(0))
	}
	var cpus []physmem.CPU
	if s.stateSize > 0 {
		var err error
		if cpus, err = s.cpus(s.state, s.stateSize); err != nil {
			return nil, err
		}
	}
	if len(cpus) == 0 {
		s.odd.Add(physmem.OddityCPU, 0, "the stream holds no registers")
	}
	c := &physmem.Container{Memory: extents.New(s.src, list), CPUs: cpus, Machine: physmem.MachineOf(cpus)}
	what := s.kind
	if s.name != "" {
		what += fmt.Sprintf(" %q", s.name)
	}
	var held uint64
	for _, e := range list {
		held += e.Size / physmem.PageSize
	}
	c.Description = describe(what, s.version, held, len(cpus))
	c.State = physmem.State{Product: "Xen", Version: physmem.StateText(s.version), Guest: physmem.StateText(s.name)}
	c.Oddities = s.odd.All()
	return c, nil
}

// endsIn is the error for a file that ends in a header.
func (s *savedState) endsIn(what string, off uint64) error {
	return &physmem.FormatError{
		Format: physmem.FormatXen, Offset: int64(min(off, s.size())), Field: what, //nolint:gosec // inside the file
		Reason: fmt.Sprintf("the file ends at 0x%x", s.size()), Hint: physmem.HintIncomplete, Cut: s.cut(0),
	}
}

// header returns n bytes of a header at off.
func (s *savedState) header(what string, off uint64, n int) ([]byte, error) {
	if !s.has.Has(off, uint64(n)) { //nolint:gosec // a constant
		return nil, s.endsIn(what, off)
	}
	return s.window.at(off, n)
}

// wrong is the error for a field that must be another.
func wrong(off uint64, field, got, want string) error {
	return &physmem.FormatError{Format: physmem.FormatXen, Offset: int64(off), Field: field, Got: got, Want: want} //nolint:gosec // inside the file
}

func refuseLegacy() error {
	return unsupported("a saved guest of Xen 4.5 or older, whose stream is another one", hintDump)
}

func refuseBigEndian() error {
	return unsupported("a saved Xen guest of a big-endian host; Windows guests are little-endian", "")
}

// fromXL reads the header of xl: byte order, flags that must be known, flags that need
// not, and the bytes of what follows: with flagJSON a number of bytes and the guest's
// configuration as JSON.
func (s *savedState) fromXL() error {
	const (
		size      = 48
		order     = 0x01020304
		flagJSON  = 1 << 0
		flagV2    = 1 << 1
		jsonCount = 4
	)
	b, err := s.header("header of xl", 0, size)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	mandatory, length := le.Uint32(b[0x24:]), uint64(le.Uint32(b[0x2c:]))
	switch {
	case le.Uint32(b[0x20:]) != order:
		return refuseBigEndian()
	case mandatory&flagV2 == 0:
		return refuseLegacy()
	case mandatory&^(flagJSON|flagV2) != 0:
		return unsupported(fmt.Sprintf("a saved Xen guest with flags (%d), which a newer Xen than 4.17 must have set", mandatory), hintDump)
	}
	if !s.has.Has(size, length) {
		return s.endsIn("configuration of the guest", s.size())
	}
	if mandatory&flagJSON != 0 && length > jsonCount {
		s.name = s.nameOf(size+jsonCount, length-jsonCount)
	}
	return s.fromLibxl(size + length)
}

// fromLibvirt reads libvirt's header: version, and the bytes of the XML behind it.
func (s *savedState) fromLibvirt() error {
	const (
		size    = 64
		version = 2 // 1 has the stream of before Xen 4.6
	)
	s.odd.Add(physmem.OddityUntried, 0, "libvirt's header of a saved Xen guest is read by libvirt's source; no file that it wrote was tried, and what lies behind is the stream of xl save")
	b, err := s.header("header of libvirt", 0, size)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	switch v := le.Uint32(b[0x10:]); {
	case v == 1:
		return refuseLegacy()
	case v != version:
		return unsupported(fmt.Sprintf("a guest of Xen saved by libvirt with a header of version %d; version %d is read", v, version), hintDump)
	}
	length := uint64(le.Uint32(b[0x14:]))
	if !s.has.Has(size, length) {
		return s.endsIn("configuration of the guest", s.size())
	}
	return s.fromLibxl(size + length)
}

// maxConfiguration caps the configuration that is looked at for the guest's name. Xen's
// own has some kilobytes.
const maxConfiguration = 1 << 20

// nameOf returns the guest's name in its configuration, empty if it can't be read.
func (s *savedState) nameOf(off, size uint64) string {
	b, err := s.read(off, size, maxConfiguration)
	if err != nil {
		return ""
	}
	var config struct {
		Info struct {
			Name string `json:"name"`
		} `json:"c_info"`
	}
	if json.Unmarshal([]byte(strings.TrimRight(string(b), "\x00")), &config) != nil {
		return ""
	}
	const longest = 64
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, config.Info.Name)
	if r := []rune(name); len(r) > longest {
		name = string(r[:longest]) + "..."
	}
	return name
}

// Records of libxl's stream: type, length, body, padded to 8.
const (
	libxlEnd   = 0
	libxlLibxc = 1 // without a body: libxc's stream follows
	// maxRecords caps the records that are passed over. A stream has some dozens.
	maxRecords   = 1 << 16
	recordHeader = 8
)

// fromLibxl reads libxl's stream up to libxc's in it. Its header is big-endian: version
// and options.
func (s *savedState) fromLibxl(off uint64) error {
	const (
		size      = 16
		version   = 2
		bigEndian = 1 << 0
		legacy    = 1 << 1
	)
	b, err := s.header("header of libxl's stream", off, size)
	if err != nil {
		return err
	}
	if string(b[:len(magicLibxl)]) != magicLibxl {
		return wrong(off, "header of libxl's stream", fmt.Sprintf("%q", b[:len(magicLibxl)]), fmt.Sprintf("%q", magicLibxl))
	}
	be := binary.BigEndian
	switch v, options := be.Uint32(b[8:]), be.Uint32(b[12:]); {
	case options&bigEndian != 0:
		return refuseBigEndian()
	case options&legacy != 0:
		return refuseLegacy()
	case v != version:
		return unsupported(fmt.Sprintf("a saved Xen guest whose libxl stream is of version %d; version %d is read", v, version), hintDump)
	}
	off += size
	for range maxRecords {
		b, err := s.header("record of libxl's stream", off, recordHeader)
		if err != nil {
			return err
		}
		le := binary.LittleEndian
		typ, length := le.Uint32(b), uint64(le.Uint32(b[4:]))
		off += recordHeader
		switch typ {
		case libxlLibxc:
			return s.fromLibxc(off + padded(length))
		case libxlEnd:
			return wrong(off-recordHeader, "libxl's stream", "its end", "libxc's stream before it")
		}
		off += padded(length)
	}
	return wrong(off, "libxl's stream", "more records", fmt.Sprintf("libxc's stream among the first %d", maxRecords))
}

// padded is a length of records with what fills it up to 8.
func padded(length uint64) uint64 { return (length + 7) &^ 7 }

// fromXenops reads the headers of xenopsd: type and length of what follows, each of 8
// bytes.
func (s *savedState) fromXenops() error {
	const (
		size       = 16
		headXenops = 0x0f
		headLibxc  = 0xf0 // its length means nothing
		headLibxl  = 0xf1
		headLegacy = 0xf2
		headEnd    = 0xffff
	)
	s.odd.Add(physmem.OddityUntried, 0, "the headers of XenServer's and XCP-ng's saved states are read by xenopsd's source; no file that they wrote was tried, and what lies behind is the stream of xl save")
	off := uint64(len(magicXenops))
	for range maxRecords {
		b, err := s.header("header of xenopsd", off, size)
		if err != nil {
			return err
		}
		le := binary.LittleEndian
		typ, length := le.Uint64(b), le.Uint64(b[8:])
		off += size
		switch typ {
		case headLibxc:
			return s.fromLibxc(off)
		case headLibxl:
			return s.fromLibxl(off)
		case headLegacy:
			return refuseLegacy()
		case headEnd:
			return wrong(off-size, "headers of xenopsd", "the last one", "one of memory before it")
		case headXenops:
		default: // devices, by later versions
		}
		if !s.has.Has(off, length) {
			return s.endsIn("record of xenopsd", s.size())
		}
		off += length
	}
	return wrong(off, "headers of xenopsd", "more of them", fmt.Sprintf("one of memory among the first %d", maxRecords))
}
