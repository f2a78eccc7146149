package migration

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
	"windmp/physmem/migration/internal/vcpu"
	"windmp/physmem/vmcore"
)

// maxDevice caps what is read of a device.
const maxDevice = 64 << 10

// data returns the first bytes of a device, at most n.
func (s *stream) data(x section, n uint64) ([]byte, error) {
	b := make([]byte, min(x.end-x.start, n, maxDevice))
	if err := binio.ReadFull(s.c.src, b, int64(x.start)); err != nil { //nolint:gosec // inside the file
		return nil, &physmem.ReadError{Offset: int64(x.start), Err: err} //nolint:gosec // inside the file
	}
	return b, nil
}

// deviceNamed returns the device of a name, nil if there is none.
func (s *stream) deviceNamed(name string) *section {
	for i := range s.devices {
		if s.devices[i].name == name {
			return &s.devices[i]
		}
	}
	return nil
}

// cmos returns the 128 bytes of the CMOS, with which the clock's section begins (QEMU
// hw/rtc/mc146818rtc.c); nil if it is not there.
func (s *stream) cmos() ([]byte, error) {
	x := s.deviceNamed("mc146818rtc")
	if x == nil {
		return nil, nil
	}
	b, err := s.data(*x, cmosSize)
	if err != nil || len(b) < cmosSize {
		return nil, err
	}
	return b, nil
}

// cpuSection is the name of a processor's section, whatever it is.
const cpuSection = "cpu"

// processors decodes the sections of the processors.
func (s *stream) processors(c *physmem.Container) error {
	var states []vcpu.State
	for _, x := range s.devices {
		if x.name != cpuSection {
			continue
		}
		if len(c.CPUs) == elfcore.MaxCPUs {
			s.odd.Add(physmem.OddityLimit, int64(x.start), "more than %d processors; the others are left out", elfcore.MaxCPUs) //nolint:gosec // inside the file
			break
		}
		b, err := s.data(x, maxDevice)
		if err != nil {
			return err
		}
		v := vcpu.Decode(x.version, b)
		if v == nil {
			s.odd.Add(physmem.OddityNoteSkipped, int64(x.start), "processor %d: its section of version %d and %d bytes is not one of qemu-system-x86_64, qemu-system-i386 or qemu-system-aarch64; its registers are unknown", x.instance, x.version, x.end-x.start) //nolint:gosec // inside the file
			continue
		}
		states = append(states, v)
		c.CPUs = append(c.CPUs, physmem.CPU{Index: len(c.CPUs), ID: x.instance, NoteOffset: int64(x.start)}) //nolint:gosec // inside the file
	}
	for i, v := range states {
		c.CPUs[i].Registers = v.Registers(states[0])
	}
	slices.SortStableFunc(c.CPUs, func(a, b physmem.CPU) int { return cmp.Compare(a.ID, b.ID) })
	for i := range c.CPUs {
		c.CPUs[i].Index = i
	}
	c.Machine = physmem.MachineOf(c.CPUs)
	return nil
}

// The section of the device vmcoreinfo (QEMU hw/misc/vmcoreinfo.c), packed: whether the
// guest wrote, two formats u16, and size u32 and address u64 of a note in its memory.
const (
	noteSection    = "vmcoreinfo"
	noteData       = 17
	noteSizeAt     = 5
	noteAddressAt  = 9
	maxNote        = 1 << 20
	noteHeaderSize = 12
)

// guestNote reads the note that the guest left for its host's dumps, where the device
// says that it is.
func (s *stream) guestNote(c *physmem.Container, mem *ramblock.Memory) error {
	x := s.deviceNamed(noteSection)
	if x == nil {
		return nil
	}
	b, err := s.data(*x, noteData)
	if err != nil || len(b) < noteData || b[0] == 0 {
		return err
	}
	size, pa := uint64(binary.BigEndian.Uint32(b[noteSizeAt:])), binary.BigEndian.Uint64(b[noteAddressAt:])
	if size < noteHeaderSize || size > maxNote || !binio.Within(pa, size, physmem.MaxAddress) {
		s.odd.Add(physmem.OddityNoteSkipped, int64(x.start), "the guest's note is none").Because("0x%x bytes at physical address 0x%x", size, pa) //nolint:gosec // inside the file
		return nil
	}
	text := make([]byte, size)
	if _, err := mem.ReadAt(text, int64(pa)); err != nil { //nolint:gosec // below MaxAddress
		s.odd.Add(physmem.OddityNoteSkipped, int64(x.start), "the guest's note can't be read").Because("at physical address 0x%x: %v", pa, err) //nolint:gosec // inside the file
		return nil
	}
	notes := vmcore.ReadNotes(bytes.NewReader(text), size, 0, size, int64(x.start)) //nolint:gosec // inside the file
	s.odd.Take(&notes.Oddities)
	if c.GuestNote = notes.GuestNote; c.GuestNote != nil {
		c.GuestNote.Offset = mem.FileOffset(pa + uint64(c.GuestNote.Offset)) //nolint:gosec // not negative
	}
	return nil
}
