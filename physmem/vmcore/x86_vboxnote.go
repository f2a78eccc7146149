package vmcore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Notes of a VirtualBox core (VirtualBox include/VBox/vmm/dbgfcorefmt.h,
// VMM/VMMR3/DBGFCoreWrite.cpp).
const (
	noteVBoxCore     = "VBCORE"
	noteVBoxCPU      = "VBCPU"
	noteTypeVBoxCore = 0xb00
	noteTypeVBoxCPU  = 0xb01
)

// vboxMagic is DBGFCORE_MAGIC.
const vboxMagic = 0xc01ac0de

// vboxDescriptor is DBGFCOREDESCRIPTOR, the VBCORE note.
type vboxDescriptor struct {
	Magic, FormatVersion, Size uint32
	Version                    uint32 // of VirtualBox: major, minor, build as 8, 8, 16 bits
	Revision                   uint32
	CPUs                       uint32
}

// vboxNotes collects the notes of a VirtualBox core.
type vboxNotes struct {
	core *physmem.Note
	cpus []physmem.Note

	// descriptor is nil until decode, and after it if there is none.
	descriptor *vboxDescriptor
}

// present reports whether there is any of VirtualBox' notes.
func (v *vboxNotes) present() bool { return v.core != nil || len(v.cpus) > 0 }

// takeVBox takes a note that has one of VirtualBox' names.
func (t *noteTable) takeVBox(n physmem.Note, odd *physmem.Oddities) {
	switch {
	case n.Name == noteVBoxCore && n.Type == noteTypeVBoxCore && t.vbox.core != nil:
		odd.Add(physmem.OddityNoteDuplicate, n.Offset, "another VBCORE note; the first one is used")
	case n.Name == noteVBoxCore && n.Type == noteTypeVBoxCore:
		t.vbox.core = &n
	case n.Name == noteVBoxCPU && n.Type == noteTypeVBoxCPU:
		t.vbox.cpus = t.append(t.vbox.cpus, n)
	default:
		odd.Add(physmem.OddityNoteSkipped, n.Offset, "a %s note is of a type that VirtualBox does not write", n.Name).Because("its type is 0x%x", n.Type)
	}
}

// decode decodes the processors. Without a descriptor of a known format
// version their layout is not known, and there are none.
func (v *vboxNotes) decode(odd *physmem.Oddities) []physmem.CPU {
	if !v.present() {
		return nil
	}
	if err := v.decodeCore(); err != nil {
		at := int64(0)
		if v.core != nil {
			at = v.core.Offset
		}
		odd.Add(physmem.OddityNoteSkipped, at, "without a usable VBCORE note the registers of %s can't be read", binio.Plural(uint64(len(v.cpus)), "processor")).Because("%v", err)
		return nil
	}
	d := v.descriptor
	if _, known := vboxVersions[d.FormatVersion]; !known {
		odd.Add(physmem.OddityNoteSkipped, v.core.Offset, "%s; the registers of %s are left out",
			unknownVBoxFormat(d.FormatVersion), binio.Plural(uint64(len(v.cpus)), "processor"))
		return nil
	}
	if uint64(d.CPUs) != uint64(len(v.cpus)) {
		odd.Add(physmem.OddityCPU, v.core.Offset, "the VBCORE note counts %d processors, there are %d VBCPU notes", d.CPUs, len(v.cpus))
	}
	cpus := make([]physmem.CPU, 0, len(v.cpus))
	var states []*physmem.X86
	for i, n := range v.cpus {
		head, tail, err := decodeVBoxCPU(n.Desc, d.FormatVersion)
		if err != nil {
			odd.Add(physmem.OddityNoteSkipped, n.Offset, "processor %d: its note can't be used", i).Because("%v", err)
			continue
		}
		x := head.registers(tail)
		states = append(states, x)
		cpus = append(cpus, physmem.CPU{Index: i, ID: uint32(i), NoteOffset: n.Offset, Registers: x})
	}
	// The ELF header names the host's kind of machine. As QEMU does for its files,
	// the guest is taken for what its first processor is.
	if len(states) > 0 && states[0].MSR.EFER&physmem.EFERLMA == 0 {
		for _, x := range states {
			x.Is32 = true
		}
	}
	return cpus
}

// decodeCore decodes the VBCORE note.
func (v *vboxNotes) decodeCore() error {
	if v.core == nil {
		return errors.New("there is no VBCORE note")
	}
	d := new(vboxDescriptor)
	if want := binary.Size(d); len(v.core.Desc) < want {
		return fmt.Errorf("VBCORE note of 0x%x bytes, want 0x%x", len(v.core.Desc), want)
	}
	if _, err := binary.Decode(v.core.Desc, binary.LittleEndian, d); err != nil {
		return err
	}
	if d.Magic != vboxMagic {
		return fmt.Errorf("VBCORE note with magic 0x%x, want 0x%x", d.Magic, uint32(vboxMagic))
	}
	v.descriptor = d
	return nil
}

// unknownVBoxFormat says why a format version is of no use.
func unknownVBoxFormat(version uint32) string {
	switch {
	case version == 0x10000:
		return "format 1.0, of VirtualBox 4, keeps processors in an internal layout that no file tells"
	case version < 0x10004:
		return "format " + vboxFormat(version) + " of the processors' notes is not published"
	default:
		return "format " + vboxFormat(version) + " of the processors' notes is newer than 1.6, the last one known"
	}
}

// vboxFormat prints a format version.
func vboxFormat(version uint32) string {
	return fmt.Sprintf("%d.%d", version>>16, version&0xffff)
}

// describe says which VirtualBox wrote the file.
func (v *vboxNotes) describe() string {
	d := v.descriptor
	if d == nil {
		return "VirtualBox core"
	}
	return fmt.Sprintf("VirtualBox core (format %s, VirtualBox %s)", vboxFormat(d.FormatVersion), v.version())
}

// version is that of the VirtualBox that wrote the file, empty if it is not told.
func (v *vboxNotes) version() string {
	if v.descriptor == nil {
		return ""
	}
	n := v.descriptor.Version
	return fmt.Sprintf("%d.%d.%d", n>>24, n>>16&0xff, n&0xffff)
}
