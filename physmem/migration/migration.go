// Package migration opens QEMU's migration stream, which is what every KVM host writes
// when it saves a guest: virsh save and managedsave, virsh dump without --memory-only,
// snapshots with memory, Proxmox' vmstate, migrate to a file. It has all of memory, all
// devices and all registers.
//
// Sources: QEMU migration/savevm.c, ram.c, vmstate.c, xbzrle.c and target/i386/machine.c
// of 7.2 and 10.2, libvirt qemu_saveimage.h, and files of QEMU 7.2, 10.0 and 11.1. See
// docs/formats.md.
package migration

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/migration/internal/ramblock"
)

// Opener returns the opener of QEMU's migration streams, with libvirt's header in front
// or without.
func Opener() physmem.Opener {
	return physmem.Opener{Format: physmem.FormatMigration, Open: open}
}

// open opens a migration stream.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	head, err := physmem.Head(src, len(libvirtSaved))
	if err != nil {
		return nil, err
	}
	f := &file{c: newCursor(ctx, src)}
	switch {
	case isLibvirt(head):
		if f.saved, err = readLibvirt(f.c); err != nil {
			return nil, f.explain(err)
		}
		f.c.pos = f.saved.stream
	case !strings.HasPrefix(string(head), magic):
		return nil, physmem.NotMine("no %s signature at its start", magic)
	}
	return f.open()
}

// A file is one while it is opened.
type file struct {
	c     *cursor
	odd   physmem.Oddities
	saved *saved // nil without libvirt's header
}

// open opens the stream at the cursor.
func (f *file) open() (*physmem.Container, error) {
	s := &stream{c: f.c, odd: &f.odd}
	err := s.walk()
	if err = f.forgive(s, err); err != nil {
		return nil, f.explain(err)
	}
	var dimms map[string]uint64
	if f.saved != nil {
		dimms = f.saved.dimms
	}
	mem, err := s.memory(dimms)
	if err != nil {
		return nil, err
	}
	c := &physmem.Container{Memory: mem}
	if err := s.processors(c); err != nil {
		return nil, err
	}
	if err := s.guestNote(c, mem); err != nil {
		return nil, err
	}
	c.Description, c.State = f.describe(s), f.state(s)
	c.Oddities = f.odd.All()
	return c, nil
}

// forgive makes an oddity of an error that leaves memory to look at: the stream is cut,
// or its devices make no sense. Any other error it returns.
func (f *file) forgive(s *stream, err error) error {
	var bad *physmem.FormatError
	hasMemory := len(ramBlocks(s.ram.blocks)) > 0
	switch {
	case err == nil:
		if f.saved != nil && f.saved.partial {
			f.odd.Add(physmem.OddityTruncated, 0, "libvirt did not finish this save file")
		}
		return nil
	case hasMemory && isCut(err):
		where := "while memory was sent"
		if s.ram.complete {
			where = "in the machine's devices, behind memory: of those that are missing, registers are unknown"
		}
		f.odd.Add(physmem.OddityTruncated, 0, "%s, %s", physmem.Cut{Size: f.c.has.Whole()}, where)
		return nil
	case s.ram.complete && errors.As(err, &bad):
		f.odd.Add(physmem.OddityNoteSkipped, bad.Offset, "the machine's devices behind memory can't be told apart: %s: %s", bad.Field, bad.Got)
		return nil
	}
	return err
}

// explain returns the error for a file of which nothing is left.
func (f *file) explain(err error) error {
	if !isCut(err) {
		return err
	}
	return &physmem.FormatError{
		Format: physmem.FormatMigration, Offset: int64(f.c.has.Whole()), Field: "stream", //nolint:gosec // inside the file
		Reason: "it ends before any memory", Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: f.c.has.Whole()},
	}
}

// describe says what the file is.
func (f *file) describe(s *stream) string {
	out := "QEMU migration stream"
	switch {
	case f.saved != nil && f.saved.running:
		out = f.saved.describe() + ", which ran, " + out
	case f.saved != nil:
		out = f.saved.describe() + ", " + out
	}
	if how := s.encoding(); how != "" {
		out += " (" + how + ")"
	}
	if s.machine != "" && binio.IsText([]byte(s.machine)) {
		out += ", machine " + s.machine
	}
	return out
}

// encoding says how the stream keeps memory, empty if as it is.
func (s *stream) encoding() string {
	switch {
	case s.ram.isFixed:
		return "mapped-ram"
	case s.ram.index.HasPacked():
		return "pages compressed"
	case s.ram.index.HasChanges():
		return "XBZRLE"
	}
	return ""
}

// state is what the file says of itself. What QEMU wrote it, a stream does not say: the
// machine's type has the version that it was made for.
func (f *file) state(s *stream) physmem.State {
	out := physmem.State{Product: "QEMU", MachineType: physmem.StateText(s.machine), Encoding: s.encoding()}
	if f.saved != nil {
		out.Product, out.Guest = "libvirt", physmem.StateText(f.saved.domain)
	}
	return out
}

// memory places the blocks. Of DIMMs it may be known where they are, by the names of their
// blocks.
func (s *stream) memory(dimms map[string]uint64) (*ramblock.Memory, error) {
	sent := func(b *ramblock.Block) bool { return !b.IsEmpty() }
	list := ramBlocks(s.ram.blocks)
	if !contains(list, sent) {
		e := &physmem.UnsupportedError{Format: physmem.FormatMigration, What: "a migration stream without memory"}
		if s.ram.isShared {
			e.What, e.Hint = "a migration stream without memory, which is in a file of the host's that the guest shared (x-ignore-shared)", "open that file as raw memory"
		}
		return nil, e
	}
	if absent := s.ram.shared(list); len(absent) > 0 {
		s.odd.Add(physmem.OddityLimit, 0, "memory that the guest shared is in files of its host, not in the stream (x-ignore-shared): %s", namesOf(absent))
	}
	cmos, err := s.cmos()
	if err != nil {
		return nil, err
	}
	a, err := s.affinity()
	if err != nil {
		return nil, err
	}
	b, rest, err := s.placeBoard(cmos, a)
	if err != nil {
		return nil, err
	}
	places, err := s.placeDIMMs(b.places(), rest, dimms, a)
	if err != nil {
		return nil, err
	}
	m, ok := ramblock.NewMemory(s.c.src, places, &s.ram.index)
	if !ok {
		return nil, &physmem.UnsupportedError{Format: physmem.FormatMigration, What: fmt.Sprintf("a migration stream whose memory has more than %d holes", ramblock.MaxHoles)}
	}
	return m, nil
}

func contains(list []*ramblock.Block, f func(*ramblock.Block) bool) bool {
	for _, b := range list {
		if f(b) {
			return true
		}
	}
	return false
}
