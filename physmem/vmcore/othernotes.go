package vmcore

import (
	"io"

	"windmp/physmem"
)

// Notes are what the notes say that stand in another container than an ELF file.
type Notes struct {
	Machine   physmem.Machine // empty if there are no processors
	CPUs      []physmem.CPU
	GuestNote *physmem.Note // nil if there is none
	Writer    string        // the program that wrote the file, empty if they do not tell
	Oddities  physmem.Oddities
}

// ReadNotes reads the n bytes of notes at offset off of a file of size bytes, of
// which a header at file offset at tells. What cannot be used is an oddity.
func ReadNotes(r io.ReaderAt, size, off, n uint64, at int64) *Notes {
	var t noteTable
	out := new(Notes)
	t.segment(off, n, at, &out.Oddities)
	t.read(r, size, &out.Oddities)
	cpus, m := machines[t.machineOfNotes()].cpus(&t, &out.Oddities)
	if len(cpus) > 0 {
		out.CPUs, out.Machine = cpus, machines[m].name
	}
	out.GuestNote, out.Writer = t.guest, t.writer()
	return out
}
