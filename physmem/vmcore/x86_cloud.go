package vmcore

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// Cloud Hypervisor's coredump is made after QEMU's, with the same notes in the same order
// (its vmm/src/coredump.rs, and cpu.rs, of 2026). What differs: pr_pid is the processor's
// number and not one more; where QEMU has CR1 in a QEMU note stands CR8; flags of the
// descriptor tables are 0; there is no note of the guest's.
//
// A machine to which processors were added has notes of all of them, while the headers
// count those that it started with: all memory lies farther back than they say.

// Sizes of a processor's notes in such a file: a header, a name of eight bytes with its
// padding, and what it holds.
const (
	cloudCore  = noteHeader + 8 + elfcore.Prstatus64Size
	cloudNotes = cloudCore + noteHeader + 8 + elfcore.CPUSize
)

// cloudPID returns the number of the processor of a CORE note; false if it is none.
func cloudPID(note []byte) (uint32, bool) {
	le := binary.LittleEndian
	const nameAt, pidAt = noteHeader, noteHeader + 8 + 32
	if len(note) < cloudCore || le.Uint32(note) != 5 || le.Uint32(note[4:]) != elfcore.Prstatus64Size ||
		le.Uint32(note[8:]) != uint32(elf.NT_PRSTATUS) || !bytes.HasPrefix(note[nameAt:], []byte(elfcore.NoteCore+"\x00")) {
		return 0, false
	}
	return le.Uint32(note[pidAt:]), true
}

// uncounted returns how many bytes of notes follow those that the header of a PT_NOTE
// counts, and how many processors they are of; 0 for files of other programs.
func (f *elfFile) uncounted(p *elf.Prog64) (size, cpus uint64) {
	counted := p.Filesz / cloudNotes
	if counted == 0 || p.Filesz%cloudNotes != 0 || !binio.Within(p.Off, p.Filesz, f.size) {
		return 0, 0
	}
	b := make([]byte, cloudCore)
	n := uint64(0)
	for ; n < elfcore.MaxCPUs && binio.Within(p.Off, (n+1)*cloudNotes, f.size); n++ {
		off := int64(p.Off + n*cloudCore) //nolint:gosec // inside the file
		if binio.ReadFull(f.r, b, off) != nil {
			return 0, 0
		}
		if id, ok := cloudPID(b); !ok || uint64(id) != n {
			break
		}
	}
	if n <= counted {
		return 0, 0
	}
	return (n - counted) * cloudNotes, n - counted
}

// moveUncounted takes care of notes that the headers do not count. It is called for each
// program header, of which that of the notes is the first.
func (f *elfFile) moveUncounted(p *elf.Prog64, at int64) {
	switch elf.ProgType(p.Type) {
	case elf.PT_NOTE:
		size, cpus := f.uncounted(p)
		if size == 0 || f.moved != 0 {
			return
		}
		f.moved = size
		f.odd.Add(physmem.OddityCount, at, "the headers count the processors that the machine started with, and leave out %s that were added; memory lies farther back than they say", binio.Plural(cpus, "processor")).Because("by 0x%x bytes", size)
		p.Filesz += size
	case elf.PT_LOAD:
		if off, ok := binio.Sum(p.Off, f.moved); ok {
			p.Off = off
		}
	default: // says nothing of memory
	}
}

// isCloud reports whether notes are Cloud Hypervisor's: QEMU counts from 1.
func (t *noteTable) isCloud() bool {
	const pidAt = 32
	return len(t.qemu) > 0 && len(t.prstatus) > 0 && len(t.prstatus[0].Desc) == elfcore.Prstatus64Size &&
		binary.LittleEndian.Uint32(t.prstatus[0].Desc[pidAt:]) == 0
}
