package vmcore

import (
	"debug/elf"

	"windmp/internal/elfcore"
	"windmp/physmem"
)

// machineX64 and machineX86 are 64-bit and 32-bit x86. QEMU takes ELFCLASS64 for
// EM_386 too if memory goes above 4 GiB, where its BIOS always ends.
var (
	machineX64 = machine{name: physmem.MachineX64, prstatus: elfcore.Prstatus64Size, cpus: func(t *noteTable, odd *physmem.Oddities) ([]physmem.CPU, elf.Machine) {
		return t.x86CPUs(false, odd)
	}}
	machineX86 = machine{
		name: physmem.MachineX86, label: "32-bit guest", class32: true, prstatus: elfcore.Prstatus32Size,
		cpus: func(t *noteTable, odd *physmem.Oddities) ([]physmem.CPU, elf.Machine) { return t.x86CPUs(true, odd) },
	}
)

// usualMachine is that of containers which say none, and have no notes that do.
const usualMachine = elf.EM_X86_64

// x86CPUs decodes the notes of x86 processors: QEMU's, or VirtualBox' where there
// are none of QEMU's. The file says by is32 which CORE notes it has; the machine is
// what its first processor is.
func (t *noteTable) x86CPUs(is32 bool, odd *physmem.Oddities) ([]physmem.CPU, elf.Machine) {
	cpus := t.decodeCPUs(is32, odd)
	if len(cpus) == 0 {
		cpus = t.vbox.decode(odd)
	}
	if is32 || len(cpus) > 0 && physmem.X86Of(cpus[0]).Is32 {
		return cpus, elf.EM_386
	}
	return cpus, elf.EM_X86_64
}
