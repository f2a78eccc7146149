package migration

import (
	"context"
	"encoding/binary"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/vmdesc"
)

const (
	// maxDevices caps the bytes of all devices behind memory, in which the description
	// is looked for.
	maxDevices = 256 << 20
	// maxDescription caps the description. That of a processor takes 40 KiB.
	maxDescription = 64 << 20
	// maxDescriptions caps the places that look like one.
	maxDescriptions = 16
	// maxStarts caps the devices of a description that may be the first one behind
	// memory: a name and an instance are there once.
	maxStarts = 4
)

// walkDevices reads the devices, which come behind memory. The description at the end
// says how long each is; without one, or if it is of another stream, the footers do.
func (s *stream) walkDevices() error {
	start := s.c.pos
	ok, err := s.walkDescribed()
	if ok || err != nil {
		return err
	}
	s.c.pos, s.devices = start, nil
	err = s.walkFooters()
	if s.isWhole && isCut(err) {
		return malformed(s.c.pos, "devices", "no end of the one after %d others, in a stream that goes on to its end", len(s.devices))
	}
	return err
}

// walkDescribed looks for the description and walks the devices by it: it is believed if
// the walk ends where it begins. Otherwise it is false.
func (s *stream) walkDescribed() (bool, error) {
	start := s.c.pos
	pattern := []byte{sectionEnd, sectionDescription}
	for tries := 0; tries < maxDescriptions; {
		at, ok, err := s.c.find(pattern, start+maxDevices)
		if err != nil || !ok {
			return false, err
		}
		s.c.pos = at + 1
		if text := s.descriptionAt(at + 2); text != nil {
			tries++
			list, err := vmdesc.Read(text)
			if err == nil {
				s.isWhole = true // it stands behind the end
				ok, err = s.walkBy(list, start, at)
			}
			if _, failed := err.(*physmem.ReadError); failed { //nolint:errorlint // as it is made here
				return false, err
			}
			if ok {
				s.hasEnd = true
				return true, nil
			}
			s.c.pos, s.devices = at+1, nil
		}
		if s.c.ctx.Err() != nil {
			return false, context.Cause(s.c.ctx)
		}
	}
	return false, nil
}

// descriptionAt returns the description whose length is at a file offset, nil if there is
// none.
func (s *stream) descriptionAt(at uint64) io.Reader {
	const first = `{"`
	pos := s.c.pos
	defer func() { s.c.pos = pos }()
	s.c.pos = at
	b, err := s.c.take(4 + len(first))
	if err != nil || string(b[4:]) != first {
		return nil
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > maxDescription || !s.c.has.Has(at+4, n) {
		return nil
	}
	return io.NewSectionReader(s.c.src, int64(at+4), int64(n)) //nolint:gosec // inside the file
}

// walkBy walks devices from a file offset on as a description says, and reports whether
// that ends at the end that is given. Devices that came before memory are described too.
func (s *stream) walkBy(list []vmdesc.Device, start, end uint64) (bool, error) {
	s.c.pos = start + 1
	first, err := s.header()
	if err != nil {
		return false, err
	}
	tries := 0
	for i, d := range list {
		if tries == maxStarts {
			break
		}
		if d.Name != first.name || d.Instance != uint64(first.instance) {
			continue
		}
		tries++
		s.c.pos, s.devices = start, nil
		if ok, err := s.walkExactly(list[i:], end); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// walkExactly walks the devices of a list, which must be all up to the end.
func (s *stream) walkExactly(list []vmdesc.Device, end uint64) (bool, error) {
	for _, d := range list {
		t, err := s.c.u8()
		if err != nil || t != sectionFull {
			return false, err
		}
		x, err := s.header()
		if err != nil {
			return false, err
		}
		if x.name != d.Name || uint64(x.instance) != d.Instance || !binio.Within(x.start, d.Size, end) {
			return false, nil
		}
		x.end = x.start + d.Size
		s.c.pos = x.end
		s.devices = append(s.devices, x)
		if err := s.footer(x.id); err != nil {
			return false, err
		}
	}
	return s.c.pos == end, nil
}

// walkFooters reads the devices by their footers, or, where older machines have none, by
// where the header of the next one can be.
func (s *stream) walkFooters() error {
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
		case sectionFull:
			err = s.device()
		case sectionPart, sectionLast, sectionStart:
			err = s.livePart(t, at)
		case sectionCommand:
			err = s.command()
		default:
			err = malformed(at, "type of a section", "0x%x", t)
		}
		if err != nil {
			return err
		}
	}
}

// device reads one by its footer.
func (s *stream) device() error {
	x, err := s.header()
	if err != nil {
		return err
	}
	if len(s.devices) == maxSections {
		return malformed(x.start, "devices", "more than %d", maxSections)
	}
	s.used[x.id] = true
	if s.hasFooters {
		x.end, err = s.passOver(&x)
	} else {
		x.end, err = s.nextHeader()
	}
	if err == nil {
		s.devices = append(s.devices, x)
	}
	return err
}

// nextHeader returns where the data from the position on ends: where the header of the
// next device can be, or the file ends, and goes there.
func (s *stream) nextHeader() (uint64, error) {
	start := s.c.pos
	for {
		at, ok, err := s.c.find([]byte{sectionFull}, start+maxDevices)
		if err != nil {
			return 0, err
		}
		if !ok {
			s.c.pos = s.c.has.Whole() - 1 // the byte that is the end
			return s.c.pos, nil
		}
		s.c.pos = at + 1
		if x, err := s.header(); err == nil && x.id < maxSections && len(x.name) > 1 {
			if s.c.pos = at + 1; s.plausibleHeader() {
				s.c.pos = at
				return at, nil
			}
		}
		s.c.pos = at + 1
	}
}
