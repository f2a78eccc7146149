package vmcore

import (
	"debug/elf"

	"windmp/physmem"
)

// machine is what differs between the machines whose cores are read.
type machine struct {
	name physmem.Machine
	// label is what a description of the file says of it, empty for the usual one.
	label string
	// class32 says that there are ELF32 files of it.
	class32 bool
	// prstatus is the size of its CORE notes in bytes.
	prstatus int
	// cpus decodes the processors' notes, and returns the machine that they show:
	// the ELF header may name the host's.
	cpus func(t *noteTable, odd *physmem.Oddities) ([]physmem.CPU, elf.Machine)
}

// machines are those whose cores are read, by e_machine.
var machines = map[elf.Machine]*machine{
	elf.EM_X86_64: &machineX64,
	elf.EM_386:    &machineX86,

	elf.EM_AARCH64: &machineARM64,
}

// machineOfNotes returns the machine whose CORE notes are there, for containers that
// do not say it.
func (t *noteTable) machineOfNotes() elf.Machine {
	for id, m := range machines {
		if len(t.prstatus) > 0 && len(t.prstatus[0].Desc) == m.prstatus {
			return id
		}
	}
	return usualMachine
}
