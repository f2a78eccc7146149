package vmcore

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"windmp/internal/elfcore"
	"windmp/physmem"
)

// machineARM64 is 64-bit Arm. All notes of a processor stand together (QEMU
// target/arm/arch_dump.c); there are none of system registers.
var machineARM64 = machine{
	name: physmem.MachineARM64, label: "64-bit Arm", prstatus: elfcore.PrstatusARM64Size,
	cpus: func(t *noteTable, odd *physmem.Oddities) ([]physmem.CPU, elf.Machine) {
		return t.arm64CPUs(odd), elf.EM_AARCH64
	},
}

// arm64CPUs decodes the notes of the processors.
func (t *noteTable) arm64CPUs(odd *physmem.Oddities) []physmem.CPU {
	var cpus []physmem.CPU
	for i, n := range t.prstatus {
		c, x := physmem.CPU{Index: i, ID: uint32(i), NoteOffset: n.Offset}, new(physmem.ARM64)
		if err := fillARM64(n.Desc, &c, x); err != nil {
			odd.Add(physmem.OddityNoteSkipped, n.Offset, "processor %d: a note of it can't be used", i).Because("%v", err)
			continue
		}
		if f, ok := t.fpregs[i]; ok {
			v, err := vectorARM64(f.Desc)
			if err != nil {
				odd.Add(physmem.OddityNoteSkipped, f.Offset, "processor %d: a note of it can't be used", i).Because("%v", err)
			}
			x.Vector = v
		}
		c.Registers = x
		cpus = append(cpus, c)
	}
	return cpus
}

// fillARM64 sets what a CORE NT_PRSTATUS note says of a processor.
func fillARM64(desc []byte, c *physmem.CPU, x *physmem.ARM64) error {
	if len(desc) != elfcore.PrstatusARM64Size {
		return fmt.Errorf("CORE note of 0x%x bytes, want 0x%x", len(desc), elfcore.PrstatusARM64Size)
	}
	var p elfcore.PrstatusARM64
	if _, err := binary.Decode(desc, binary.LittleEndian, &p); err != nil {
		return err
	}
	if p.PID > 0 {
		c.ID = p.PID - 1
	}
	*x = physmem.ARM64{X: p.X, SP: p.SP, PC: p.PC, PSTATE: p.PSTATE}
	if x.In32() {
		x.SP = x.X[13] // QEMU writes 0
	}
	return nil
}

// vectorARM64 decodes a CORE NT_PRFPREG note.
func vectorARM64(desc []byte) (*physmem.ARM64Vector, error) {
	if len(desc) != elfcore.PrfpregARM64Size {
		return nil, fmt.Errorf("CORE note of floating point of 0x%x bytes, want 0x%x", len(desc), elfcore.PrfpregARM64Size)
	}
	var p elfcore.PrfpregARM64
	if _, err := binary.Decode(desc, binary.LittleEndian, &p); err != nil {
		return nil, err
	}
	return &physmem.ARM64Vector{V: p.V, FPSR: p.FPSR, FPCR: p.FPCR}, nil
}
