// Package vmware opens what VMware's hosts keep of a machine's memory: the state file
// of a suspended machine or of a snapshot (.vmss, .vmsn) with the memory in it or in
// the .vmem file beside it, and a .vmem file alone.
//
// No file of VMware's own was at hand. The layout is that of VMware's reader in crash
// (vmware_vmss.c and .h), of illumos' (mdb_vmss.c), and of Volatility 2 and 3
// (vmware.py), with the listing of a file of ESX 4.1 that Volatility's documentation
// prints; docs/formats.md says what each number stands on.
package vmware

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// The endings of the files' names.
const (
	endSuspended = ".vmss"
	endSnapshot  = ".vmsn"
	endMemory    = ".vmem"
	// endLock is that of the folder that a running machine's product keeps beside a
	// file of its own.
	endLock = ".lck"
)

// Opener returns the opener of VMware's files. A .vmem file has nothing to be
// recognised by but its name.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatVMware, Open: open} }

// open opens a state file, or a .vmem file with the state file beside it.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	magic, err := readMagic(src)
	isMemory := hasEnding(src.Name(), endMemory) && src.Size() > 0
	_, refused := physmem.RefusedRead(err)
	switch {
	case isMemory && refused: // a bad sector in memory
		return openMemory(ctx, src)
	case err != nil:
		return nil, err
	case magics[magic].known():
		return openState(ctx, src)
	case isMemory:
		return openMemory(ctx, src)
	case hasEnding(src.Name(), endSuspended) || hasEnding(src.Name(), endSnapshot):
		return nil, refuseForeign(src)
	}
	return nil, physmem.NotMine("no signature of VMware's at its start, and no name that ends in %s", endMemory)
}

// openState opens a state file that was given itself.
func openState(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	s, err := readState(ctx, src)
	if err != nil {
		return nil, err
	}
	if s.memory != nil {
		return s.container(src, s.memory.data, binio.Clip(s.memory.data, s.memory.size, s.size), "")
	}
	name := renamed(src.Name(), endMemory)
	if name == "" {
		return nil, s.refuseLacking()
	}
	mem, err := src.OpenSibling(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.refuseLacking()
	}
	if err != nil {
		return nil, fmt.Errorf("memory of the VMware state: %w", err)
	}
	s.noteRunning(src, name)
	s.noteLater(src, mem)
	return s.container(mem, 0, binio.Uint64(mem.Size()), name)
}

// openMemory opens a .vmem file: with the state file that has its name, else as raw
// memory.
func openMemory(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	var odd physmem.Oddities
	for _, ending := range []string{endSuspended, endSnapshot} {
		name := renamed(src.Name(), ending)
		file, err := src.OpenSibling(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("state of the VMware memory: %w", err)
		}
		s, err := stateBeside(ctx, file)
		var format *physmem.FormatError
		switch {
		case errors.As(err, &format):
			odd.Add(physmem.OddityNoteSkipped, 0, "%s is of no use, and without it there are no registers", name).Because("%v", err)
			continue
		case err != nil:
			return nil, err
		case s.memory != nil:
			odd.Add(physmem.OddityNoteSkipped, 0, "%s has memory of its own and is not the state of this file", name)
			continue
		}
		s.odd.Take(&odd)
		s.noteRunning(src, src.Name())
		s.noteLater(file, src)
		return s.container(src, 0, binio.Uint64(src.Size()), "")
	}
	return alone(src, &odd)
}

// stateBeside reads the state file beside a .vmem file.
func stateBeside(ctx context.Context, file physmem.Source) (*state, error) {
	magic, err := readMagic(file)
	if err != nil {
		return nil, err
	}
	if !magics[magic].known() {
		return nil, &physmem.FormatError{Format: physmem.FormatVMware, Field: "signature", Got: fmt.Sprintf("0x%08x", magic), Want: "one of VMware's"}
	}
	return readState(ctx, file)
}

// container makes the container of a state whose memory is size bytes at an offset of
// a file, which is the sibling of that name if it has one.
func (s *state) container(mem physmem.Source, at, size uint64, sibling string) (*physmem.Container, error) {
	list, err := s.place(at, size)
	if err != nil {
		return nil, err
	}
	c := physmem.Container{Memory: extents.New(mem, list), MemoryFile: sibling, Apart: s.memory == nil}
	c.CPUs = s.registers()
	c.Machine = physmem.MachineOf(c.CPUs)
	s.odd.Add(physmem.OddityUntried, 0, "%s", untried)
	c.Description = s.describe(list, sibling, len(c.CPUs))
	c.State = physmem.State{Product: physmem.StateText(s.productName), Version: physmem.StateText(s.productVersion)}
	c.Oddities = s.odd.All()
	if !s.memoryRead && len(s.regions) == 0 {
		return (&memory{of: c, src: mem, at: at, size: size}).WithHoles(nil)
	}
	return &c, nil
}

// untried is what every file of VMware's is said to be.
const untried = "VMware's files are read by published descriptions; none that VMware's own products wrote was tried"

// untriedShort is the same in a description.
const untriedShort = "no file of VMware's own was tried"

// describe says in one line what was opened.
func (s *state) describe(list []physmem.Extent, sibling string, cpus int) string {
	d := "VMware state"
	if product := s.product(); product != "" {
		d += " of " + product
	}
	where := "memory in the file"
	switch {
	case sibling != "":
		where = "memory in " + sibling
	case s.memory == nil:
		where = "memory in the .vmem, state in " + s.name
	}
	return fmt.Sprintf("%s, %s, %s, %s; %s", d, where, binio.Plural(len(extents.Unite(list)), "range"), binio.Plural(cpus, "CPU"), untriedShort)
}

// refuseForeign names a file that only its name says to be a state.
func refuseForeign(src physmem.Source) error {
	b, err := physmem.Head(src, 1<<16)
	if err != nil {
		return err
	}
	switch {
	case len(b) == 0 || binio.IsZero(b):
		return &physmem.UnsupportedError{Format: physmem.FormatVMware, What: "a VMware state file of which nothing was written yet", Hint: physmem.HintIncomplete}
	case binio.IsNoise(b):
		return &physmem.UnsupportedError{
			Format: physmem.FormatVMware, What: "an encrypted VMware state file: it is noise from its start on",
			Hint: "remove the machine's encryption, or that of its vTPM, and save its state again, or have Windows write the dump",
		}
	}
	return physmem.NotMine("it is named as a VMware state and has no signature of one")
}

// hasEnding reports whether a name ends so, whatever the case of its letters.
func hasEnding(name, ending string) bool { return strings.EqualFold(path.Ext(name), ending) }

// renamed is a state's or memory's name with another ending, in capital letters if
// it has such; empty for a name that has none of VMware's.
func renamed(name, ending string) string {
	ext := path.Ext(name)
	switch strings.ToLower(ext) {
	case endSuspended, endSnapshot, endMemory:
	default:
		return ""
	}
	if ext == strings.ToUpper(ext) {
		ending = strings.ToUpper(ending)
	}
	return strings.TrimSuffix(name, ext) + ending
}
