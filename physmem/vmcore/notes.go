package vmcore

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

const (
	// maxNoteBytes caps the notes of a file. QEMU writes at most 4096
	// processors (hw/i386/pc_q35.c, max_cpus) of 0x330 bytes each and a guest
	// note of 1 MiB (dump/dump.c, MAX_GUEST_NOTE_SIZE), 4.2 MiB in all.
	maxNoteBytes = 8 << 20
	// maxNoteSegments caps PT_NOTE headers; one is usual.
	maxNoteSegments = 64
	// noteHeader is the size of n_namesz, n_descsz and n_type.
	noteHeader = 12
	// noteAlign pads names and payloads. QEMU and VirtualBox pad to 4 and to 8
	// in a way that parses alike with 4; the gABI's 8 for ELF64 is not used.
	noteAlign = 4
)

// noteNone is the name of the filler of scripts/dump-guest-memory.py of QEMU.
const noteNone = "NONE"

// Types of CORE notes that only the core of a process has (elf.h of Linux).
const (
	ntPrpsinfo = 3
	ntAuxv     = 6
	ntFile     = 0x46494c45
)

// noteTable collects the notes of a file.
type noteTable struct {
	segments []noteSegment
	skipped  uint64

	prstatus, qemu []physmem.Note
	// fpregs are the notes of floating point, by the index in prstatus of the
	// processor behind whose note they stand.
	fpregs    map[int]physmem.Note
	guest     *physmem.Note
	guests    uint64
	tooMany   uint64 // notes of processors beyond elfcore.MaxCPUs
	filler    bool   // the note of QEMU's gdb script is there
	ofProcess bool   // the file is the core of a process
	process   string // its name, as far as it is told
	vbox      vboxNotes
}

// noteSegment is a PT_NOTE.
type noteSegment struct{ off, size uint64 }

// segment takes a PT_NOTE whose header is at file offset at.
func (t *noteTable) segment(off, size uint64, at int64, odd *physmem.Oddities) {
	if size == 0 {
		return
	}
	if len(t.segments) == maxNoteSegments {
		if t.skipped == 0 {
			odd.Add(physmem.OddityLimit, at, "more than %d PT_NOTE headers; the rest is left out", maxNoteSegments)
		}
		t.skipped++
		return
	}
	t.segments = append(t.segments, noteSegment{off, size})
}

// read reads the notes of all segments of a file of size bytes. Notes that cannot be read cost
// what they hold and nothing else: memory can be used without them.
func (t *noteTable) read(r io.ReaderAt, size uint64, odd *physmem.Oddities) {
	left := uint64(maxNoteBytes)
	for _, s := range t.segments {
		at, ok := binio.Int64(s.off)
		have := binio.Clip(s.off, s.size, size)
		switch {
		case !ok || have == 0:
			odd.Add(physmem.OddityTruncated, 0, "%s", notesCut(s, size)).Because("the notes at file offset 0x%x are behind its end at 0x%x", s.off, size)
			continue
		case have < s.size:
			odd.Add(physmem.OddityTruncated, at, "%s", notesCut(s, size)).Because("it ends in the notes: 0x%x of 0x%x bytes are there", have, s.size)
		}
		if have > left {
			odd.Add(physmem.OddityLimit, at, "there are %s of notes; %s are read", binio.Bytes(have), binio.Bytes(left))
			have = left
		}
		left -= have
		b, err := binio.ReadBytes(r, s.off, have, maxNoteBytes)
		if err != nil {
			odd.Add(physmem.OddityNoteSkipped, at, "the notes can't be read").Because("%v", err)
			continue
		}
		t.walk(b, at, s.size, odd)
	}
	if t.tooMany > 0 {
		odd.Add(physmem.OddityLimit, 0, "%d processor notes beyond the limit of %d of a kind are left out", t.tooMany, elfcore.MaxCPUs)
	}
}

// notesCut says that a file of size bytes ends before its notes do.
func notesCut(s noteSegment, size uint64) physmem.Cut {
	end, ok := binio.Sum(s.off, s.size)
	if !ok {
		end = 0 // nobody knows
	}
	return physmem.Cut{Size: size, Whole: end}
}

// walk takes the notes in b, found at file offset at, the beginning of a
// segment of size bytes.
func (t *noteTable) walk(b []byte, at int64, size uint64, odd *physmem.Oddities) {
	for pos := uint64(0); pos < uint64(len(b)); {
		n, next, err := parseNote(b, pos, size)
		if err != nil {
			odd.Add(physmem.OddityNoteSkipped, at+int64(pos), "a note goes past the end of the notes; it and all behind it are left out").Because("%v", err)
			return
		}
		n.Offset += at
		t.take(n, odd)
		pos = next
	}
}

// parseNote returns the note at pos of b, and where the next one begins. Its
// offset is that in b. size is how long b claims to be, for the message.
func parseNote(b []byte, pos, size uint64) (physmem.Note, uint64, error) {
	total := uint64(len(b))
	if !binio.Within(pos, noteHeader, total) {
		return physmem.Note{}, 0, fmt.Errorf("0x%x bytes are left of the notes, too few for one: %w", total-pos, io.ErrUnexpectedEOF)
	}
	le := binary.LittleEndian
	namesz, descsz := uint64(le.Uint32(b[pos:])), uint64(le.Uint32(b[pos+4:]))
	nameAt := pos + noteHeader
	descAt := nameAt + (namesz+noteAlign-1)&^uint64(noteAlign-1)
	// Sums of 32-bit numbers and an offset below maxNoteBytes do not wrap.
	if descAt > total || descsz > total-descAt {
		return physmem.Note{}, 0, fmt.Errorf("a note with n_namesz 0x%x and n_descsz 0x%x goes past the end of its segment (0x%x bytes, 0x%x read)",
			namesz, descsz, size, total)
	}
	n := physmem.Note{
		Name:   strings.TrimRight(string(b[nameAt:nameAt+namesz]), "\x00"),
		Type:   le.Uint32(b[pos+8:]),
		Desc:   b[descAt : descAt+descsz : descAt+descsz],
		Offset: int64(descAt), //nolint:gosec // below maxNoteBytes
	}
	// The padding of the last note may be missing.
	return n, descAt + (descsz+noteAlign-1)&^uint64(noteAlign-1), nil
}

// take sorts a note to its kind.
func (t *noteTable) take(n physmem.Note, odd *physmem.Oddities) {
	switch {
	case n.Name == elfcore.NoteCore && n.Type == uint32(elf.NT_PRSTATUS):
		t.prstatus = t.append(t.prstatus, n)
	case n.Name == elfcore.NoteCore && n.Type == uint32(elf.NT_FPREGSET):
		t.takeFloat(n)
	case n.Name == elfcore.NoteCore && (n.Type == ntPrpsinfo || n.Type == ntAuxv || n.Type == ntFile):
		t.ofProcess = true
		t.takeProcess(n)
	case n.Name == elfcore.NoteQEMU && n.Type == elfcore.TypeQEMU:
		t.qemu = t.append(t.qemu, n)
	case n.Name == elfcore.NoteVMCoreInfo:
		t.guests++
		if t.guests > 1 {
			odd.Add(physmem.OddityNoteDuplicate, n.Offset, "another VMCOREINFO note of %d bytes; the first one is used", len(n.Desc))
			return
		}
		n.Desc = bytes.Clone(n.Desc) // so that the rest of the notes can be freed
		t.guest = &n
	case n.Name == noteVBoxCore, n.Name == noteVBoxCPU:
		t.takeVBox(n, odd)
	case n.Name == noteNone:
		t.filler = true
	}
}

// takeFloat takes a note of floating point for the processor whose note came last.
func (t *noteTable) takeFloat(n physmem.Note) {
	last := len(t.prstatus) - 1
	if _, ok := t.fpregs[last]; ok || last < 0 {
		return
	}
	if t.fpregs == nil {
		t.fpregs = map[int]physmem.Note{}
	}
	t.fpregs[last] = n
}

// append appends a processor's note unless there are too many.
func (t *noteTable) append(list []physmem.Note, n physmem.Note) []physmem.Note {
	if len(list) == elfcore.MaxCPUs {
		t.tooMany++
		return list
	}
	return append(list, n)
}

// writer names the program that wrote the file, as far as its notes tell.
func (t *noteTable) writer() string {
	switch {
	case t.isCloud():
		return "Cloud Hypervisor"
	case len(t.qemu) > 0:
		return "QEMU"
	case t.filler:
		return "QEMU's gdb script"
	default:
		return ""
	}
}
