package migration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Types of sections (QEMU migration/savevm.h, QEMU_VM_*).
const (
	sectionEnd           = 0x00
	sectionStart         = 0x01 // of what is sent while the guest runs
	sectionPart          = 0x02
	sectionLast          = 0x03 // of what began with a start
	sectionFull          = 0x04 // a device
	sectionSub           = 0x05 // inside of others
	sectionDescription   = 0x06
	sectionConfiguration = 0x07
	sectionCommand       = 0x08
	sectionFooter        = 0x7e
)

// Commands (QEMU migration/savevm.c, MIG_CMD_*) that make the rest another stream.
const commandPackaged = 5

const (
	magic       = "QEVM"
	version     = 3
	headerSize  = len(magic) + 4
	footerSize  = 5
	maxSections = 1 << 16 // devices and live parts; machines have hundreds
	// maxName caps the name of a machine.
	maxName = 0x100
)

// ramName is the name of the section that memory is sent in.
const ramName = "ram"

// A section is what is known of one by its header.
type section struct {
	name     string
	id       uint32
	instance uint32
	version  uint32
	// start and end are the file offsets of its data; only of a device.
	start, end uint64
}

// A stream is what the walk over it found.
type stream struct {
	c       *cursor
	odd     *physmem.Oddities
	machine string // type of the machine; empty where older ones do not say it
	ram     ram
	live    map[uint32]*section // what began with a start
	used    map[uint32]bool     // ids of devices
	devices []section
	early   []section // devices that came before memory
	// hasFooters is set if the sections of memory have one: then all do.
	hasFooters bool
	// hasEnd is set if the stream was walked up to its end, isWhole if what stands behind
	// that is there.
	hasEnd, isWhole bool
}

// walk reads the stream from the cursor's position on. An error that is [errCut] leaves
// what was read.
func (s *stream) walk() error {
	h, err := s.c.take(headerSize)
	if err != nil {
		return err
	}
	if v := binary.BigEndian.Uint32(h[len(magic):]); string(h[:len(magic)]) != magic || v != version {
		return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream of version %d; version %d is read", v, version)}
	}
	s.ram.c = s.c
	s.live, s.used = make(map[uint32]*section), make(map[uint32]bool)
	for {
		at := s.c.pos
		t, err := s.c.u8()
		if err != nil {
			return err
		}
		switch t {
		case sectionEnd:
			s.hasEnd = true
			return nil
		case sectionConfiguration:
			err = s.configuration()
		case sectionCommand:
			err = s.command()
		case sectionStart, sectionPart, sectionLast:
			err = s.livePart(t, at)
		case sectionFull:
			if s.ram.complete {
				s.c.pos = at
				return s.walkDevices()
			}
			err = s.earlyDevice()
		default:
			err = malformed(at, "type of a section", "0x%x", t)
		}
		if err != nil {
			return err
		}
	}
}

// configuration reads the machine's type and what follows it.
func (s *stream) configuration() error {
	at := s.c.pos
	n, err := s.c.u32()
	if err != nil {
		return err
	}
	if n > maxName {
		return malformed(at, "configuration: name of the machine", "0x%x bytes", n)
	}
	b, err := s.c.take(int(n))
	if err != nil {
		return err
	}
	s.machine = string(b)
	for {
		at := s.c.pos
		b, err := s.c.peek(1)
		if err != nil || b[0] != sectionSub {
			return err
		}
		s.c.pos++
		name, err := s.c.name()
		if err == nil {
			_, err = s.c.u32() // version
		}
		if err != nil {
			return err
		}
		if err := s.subsection(name, at); err != nil {
			return err
		}
	}
}

// subsection reads one of the configuration.
func (s *stream) subsection(name string, at uint64) error {
	const uuidSize = 16
	switch name {
	case "configuration/target-page-bits":
		bits, err := s.c.u32()
		if err == nil && 1<<min(bits, 63) != pageSize {
			return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream of a machine with pages of 2^%d bytes", bits)}
		}
		return err
	case "configuration/uuid":
		return s.c.skip(uuidSize)
	case "configuration/capabilities":
		return s.capabilities()
	default:
		return malformed(at, "configuration: subsection", "%q", name)
	}
}

// capabilities reads those that change the form of the stream.
func (s *stream) capabilities() error {
	n, err := s.c.u32()
	if err != nil {
		return err
	}
	for range n { // each takes bytes of the file
		name, err := s.c.name()
		if err != nil {
			return err
		}
		switch name {
		case "mapped-ram":
			s.ram.isFixed = true
		case "x-ignore-shared":
			s.ram.isShared = true
		default:
			return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream with the capability %q", name)}
		}
	}
	return nil
}

// command passes over a command.
func (s *stream) command() error {
	b, err := s.c.take(4)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint16(b) == commandPackaged {
		return &physmem.UnsupportedError{
			Format: physmem.FormatMigration, What: "a migration stream that goes over to postcopy: the rest of it went elsewhere",
			Hint: "save the guest without postcopy",
		}
	}
	return s.c.skip(uint64(binary.BigEndian.Uint16(b[2:])))
}

// header reads what stands in front of the data of a section that is a start or full.
func (s *stream) header() (section, error) {
	var x section
	id, err := s.c.u32()
	if err != nil {
		return x, err
	}
	name, err := s.c.name()
	if err != nil {
		return x, err
	}
	b, err := s.c.take(8)
	if err != nil {
		return x, err
	}
	x = section{name: name, id: id, instance: binary.BigEndian.Uint32(b), version: binary.BigEndian.Uint32(b[4:]), start: s.c.pos}
	return x, nil
}

// livePart reads a section of what is sent while the guest runs.
func (s *stream) livePart(t byte, at uint64) error {
	var x *section
	if t == sectionStart {
		h, err := s.header()
		if err != nil {
			return err
		}
		if s.live[h.id] != nil || len(s.live) == maxSections {
			return malformed(at, "section: id", "0x%x, which is there already", h.id)
		}
		x = &h
		s.live[h.id] = x
	} else {
		id, err := s.c.u32()
		if err != nil {
			return err
		}
		if x = s.live[id]; x == nil {
			return malformed(at, "section: id", "0x%x, which did not begin", id)
		}
	}
	if x.name != ramName {
		_, err := s.passOver(x)
		return err
	}
	if x.version != ramVersion {
		return &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream with the section ram of version %d; version %d is read", x.version, ramVersion)}
	}
	if t != sectionStart {
		if err := s.ram.foretell(); err != nil {
			return err
		}
	}
	if err := s.ram.list(); err != nil {
		return err
	}
	s.ram.complete = t == sectionLast
	return s.footer(x.id)
}

// footer passes over the footer of a section, which older machines do not have.
func (s *stream) footer(id uint32) error {
	b, err := s.c.peek(footerSize)
	if isCut(err) {
		return nil // what comes next will say so, or it is the end
	}
	if err == nil && b[0] == sectionFooter && binary.BigEndian.Uint32(b[1:]) == id {
		s.c.pos += footerSize
		s.hasFooters = true
	}
	return err
}

// earlyDevice passes over a device that comes before memory: what it is called is
// found again by nobody.
func (s *stream) earlyDevice() error {
	x, err := s.header()
	if err != nil {
		return err
	}
	x.end, err = s.passOver(&x)
	if err == nil && len(s.early) < maxSections {
		s.early = append(s.early, x)
	}
	return err
}

// passOver passes over the data of a section and its footer, up to which nothing says how
// long it is. It returns where the data ends.
func (s *stream) passOver(x *section) (uint64, error) {
	start := s.c.pos
	pattern := binary.BigEndian.AppendUint32([]byte{sectionFooter}, x.id)
	for {
		at, ok, err := s.c.find(pattern, math.MaxUint64)
		if err != nil {
			return 0, err
		}
		if !ok {
			if s.c.has.Whole()-start > maxUnsaid {
				return 0, malformed(start, fmt.Sprintf("section %q", x.name), "no end of it")
			}
			return 0, errCut
		}
		s.c.pos = at + footerSize
		if s.follows() {
			return at, nil
		}
		s.c.pos = at + 1
	}
}

// maxUnsaid is how far behind its begin the end of a section may be that a file which is
// cut does not have.
const maxUnsaid = 1 << 30

// follows reports whether a section, or the end, can be at the position. The position
// stays.
func (s *stream) follows() bool {
	start := s.c.pos
	defer func() { s.c.pos = start }()
	t, err := s.c.u8()
	if err != nil {
		return isCut(err)
	}
	switch t {
	case sectionEnd:
		b, err := s.c.peek(1)
		return err != nil || b[0] == sectionDescription || binio.IsZero(b)
	case sectionPart, sectionLast:
		id, err := s.c.u32()
		return isCut(err) || err == nil && s.live[id] != nil
	case sectionStart, sectionFull:
		return s.plausibleHeader()
	case sectionCommand:
		return true
	default:
		return false
	}
}

// plausibleHeader reports whether the header of a section of its own is at the position:
// an id that was not used, a name, a version.
func (s *stream) plausibleHeader() bool {
	const maxVersion = 1000
	x, err := s.header()
	if err != nil {
		return isCut(err)
	}
	used := s.live[x.id] != nil || s.used[x.id]
	return !used && x.name != "" && binio.IsText([]byte(x.name)) && !bytes.ContainsAny([]byte(x.name), "\n\r\t") && x.version < maxVersion
}
