package physmem

import "slices"

// A CPU is the state of one virtual processor when the memory was saved.
type CPU struct {
	Index int // position in the file
	// ID is the processor's number as the writer counts: QEMU's cpu_index.
	ID uint32
	// NoteOffset is the file offset of the note that the registers are from.
	NoteOffset int64
	// Registers are what the file says of its registers, in a type of its machine,
	// such as [*X86]. Not nil: of a processor without any there is no CPU.
	Registers Registers
}

// Registers are the registers of a processor. An opener of a caller's own may
// bring along a type for a machine that this package does not know.
type Registers interface {
	// Machine returns the machine that they are of.
	Machine() Machine
	// Clone returns a copy, with which the original shares nothing.
	Clone() Registers
}

// cloneCPUs copies processors with their registers.
func cloneCPUs(list []CPU) []CPU {
	list = slices.Clone(list)
	for i := range list {
		list[i].Registers = list[i].Registers.Clone()
	}
	return list
}

// MachineOf is the machine of processors: what the first of them is, as QEMU has it;
// empty if there are none.
func MachineOf(cpus []CPU) Machine {
	if len(cpus) == 0 {
		return ""
	}
	return cpus[0].Registers.Machine()
}
