package machine

import (
	"debug/elf"

	"windmp/convert/dump"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// elfARM64 is the core of an AArch64 machine, with the notes that QEMU writes for it
// (target/arm/arch_dump.c).
var elfARM64 = dump.ELFMachine{
	Machine: elf.EM_AARCH64, Class: elf.ELFCLASS64, Together: true,
	Notes: []dump.NoteCodec{
		{Name: elfcore.NoteCore, Type: uint32(elf.NT_PRSTATUS), Encode: prstatusARM64},
		{Name: elfcore.NoteCore, Type: uint32(elf.NT_FPREGSET), Encode: prfpregARM64},
	},
}

// prstatusARM64 is the CORE note of a CPU's general registers.
func prstatusARM64(cpu *physmem.CPU) []byte {
	c := physmem.ARM64Of(*cpu)
	p := &elfcore.PrstatusARM64{
		PID: uint32(cpu.Index) + 1, //nolint:gosec // at most elfcore.MaxCPUs
		X:   c.X, SP: c.SP, PC: c.PC, PSTATE: c.PSTATE,
	}
	if c.Vector != nil {
		p.FPValid = 1
	}
	return encoded(p)
}

// prfpregARM64 is that of its floating point, zeros where it is not known.
func prfpregARM64(cpu *physmem.CPU) []byte {
	p := new(elfcore.PrfpregARM64)
	if v := physmem.ARM64Of(*cpu).Vector; v != nil {
		p.V, p.FPSR, p.FPCR = v.V, v.FPSR, v.FPCR
	}
	return encoded(p)
}
