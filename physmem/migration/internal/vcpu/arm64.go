package vcpu

import (
	"bytes"
	"encoding/binary"

	"windmp/physmem"
)

// The section of a processor of Arm (QEMU target/arm/machine.c, vmstate_arm_cpu), the
// same from QEMU 2.9 on: what stands before the list of system registers, whose length
// differs between processors, then the list. What follows is not read but for the
// subsection of floating point.
const (
	cpuVersionARM64 = 22

	armRRegs       = 0     // r0 to r15, which count in 32-bit code
	armXRegs       = 0x40  // x0 to x30, and the stack pointer in use
	armPC          = 0x140 // 64 bits
	armPState      = 0x148 // 32 bits
	armSPSR        = 0x158 // banked_spsr[1], that of EL1
	armELR         = 0x200 // elr_el[1]
	armCount       = 0x238 // of system registers
	armRegisters   = 0x23c // their numbers, then their values
	armVersionVFP  = 3     // of the subsection
	armVersionFPCR = 1     // of that which may be in it
	// maxARMRegisters caps the list; a processor has some hundred.
	maxARMRegisters = 4096
)

// armVFP begins the subsection of floating point: a mark, the length of the name, and that.
// It holds a version, 32 registers of 128 bits and, at the end, the control registers
// in one.
var armVFP = []byte("\x05\x07cpu/vfp")

// armFPCR begins the subsection of that subsection for registers that have bits which the
// old FPSCR has not, such as those of FEAT_AFP; FPSCR is 0 then. It holds a version, FPCR
// and FPSR, 64 bits each (QEMU 9.1 on).
var armFPCR = []byte("\x05\x11cpu/vfp/fpcr_fpsr")

// What of the old FPSCR is in FPSR and in FPCR (Arm ARM, FPSCR).
const (
	fpsrBits = 0xf800009f
	fpcrBits = 0x07f79f00
)

// The numbers of system registers as KVM has them (Linux Documentation/virt/kvm/api.rst):
// armSystem with op0, op1, CRn, CRm and op2 (Arm ARM, C5.3).
const armSystem = 0x6030_0000_0013_0000

func systemRegister(op0, op1, crn, crm, op2 uint64) uint64 {
	return armSystem | op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2
}

// armCPU is what a section says.
type armCPU struct{ physmem.ARM64 }

// Registers returns what the section says.
func (v *armCPU) Registers(State) physmem.Registers { return &v.ARM64 }

// decodeARM64 decodes the data of a section; nil if it is of another layout.
func decodeARM64(b []byte) State {
	be := binary.BigEndian
	if len(b) < armRegisters {
		return nil
	}
	n := be.Uint32(b[armCount:])
	list := b[armRegisters:]
	if n == 0 || n > maxARMRegisters || len(list) < 16*int(n) {
		return nil
	}
	v := new(armCPU)
	for i := range v.X {
		v.X[i] = be.Uint64(b[armXRegs+8*i:])
	}
	v.SP, v.PC, v.PSTATE = be.Uint64(b[armXRegs+8*len(v.X):]), be.Uint64(b[armPC:]), uint64(be.Uint32(b[armPState:]))
	if v.In32() {
		v.take32(b[armRRegs:])
	}
	values := make(map[uint64]uint64, n)
	for i := range int(n) {
		values[be.Uint64(list[8*i:])] = be.Uint64(list[8*(int(n)+i):])
	}
	v.System = systemOf(values)
	if v.System == nil {
		return nil // 32-bit Arm, whose registers have other numbers
	}
	v.System.SPSR, v.System.ELR = be.Uint64(b[armSPSR:]), be.Uint64(b[armELR:])
	v.Vector = vectorOf(list[16*int(n):])
	return v
}

// take32 takes the registers of 32-bit code, r0 to r15: what stands in place of the others
// is of the last time that the processor ran 64-bit code.
func (v *armCPU) take32(b []byte) {
	const sp, lr, pc = 13, 14, 15
	r := func(i int) uint64 { return uint64(binary.BigEndian.Uint32(b[4*i:])) }
	for i := range lr + 1 {
		v.X[i] = r(i)
	}
	v.SP, v.PC = r(sp), r(pc)
}

// systemOf takes the registers of EL1 from the list; nil where it lacks those of
// translation.
func systemOf(values map[uint64]uint64) *physmem.ARM64System {
	root := systemRegister(3, 0, 2, 0, 0)
	if _, ok := values[root]; !ok {
		return nil
	}
	return &physmem.ARM64System{
		SCTLR: values[systemRegister(3, 0, 1, 0, 0)], CPACR: values[systemRegister(3, 0, 1, 0, 2)],
		TTBR0: values[root], TTBR1: values[systemRegister(3, 0, 2, 0, 1)], TCR: values[systemRegister(3, 0, 2, 0, 2)],
		ESR: values[systemRegister(3, 0, 5, 2, 0)], FAR: values[systemRegister(3, 0, 6, 0, 0)],
		MAIR: values[systemRegister(3, 0, 10, 2, 0)], VBAR: values[systemRegister(3, 0, 12, 0, 0)],
		TPIDREL1: values[systemRegister(3, 0, 13, 0, 4)],
		TPIDREL0: values[systemRegister(3, 3, 13, 0, 2)], TPIDRROEL0: values[systemRegister(3, 3, 13, 0, 3)],
	}
}

// vectorOf looks for the subsection of floating point; nil where there is none.
func vectorOf(b []byte) *physmem.ARM64Vector {
	const registers, control, size = 4, 4 + 32*16 + 15*4, 4 + 32*16 + 16*4
	at := bytes.Index(b, armVFP)
	if at < 0 || len(b)-at-len(armVFP) < size {
		return nil
	}
	be := binary.BigEndian
	if b = b[at+len(armVFP):]; be.Uint32(b) != armVersionVFP {
		return nil
	}
	v := new(physmem.ARM64Vector)
	for i := range v.V {
		v.V[i] = [2]uint64{be.Uint64(b[registers+16*i:]), be.Uint64(b[registers+16*i+8:])}
	}
	fpscr := be.Uint32(b[control:])
	v.FPSR, v.FPCR = fpscr&fpsrBits, fpscr&fpcrBits
	takeControl(v, b[size:])
	return v
}

// takeControl takes the control registers of floating point from the subsection that has
// all of their bits, where there is one.
func takeControl(v *physmem.ARM64Vector, b []byte) {
	const fpcr, fpsr, size = 4, 12, 20
	if !bytes.HasPrefix(b, armFPCR) || len(b)-len(armFPCR) < size {
		return
	}
	be := binary.BigEndian
	if b = b[len(armFPCR):]; be.Uint32(b) != armVersionFPCR {
		return
	}
	v.FPCR, v.FPSR = uint32(be.Uint64(b[fpcr:])), uint32(be.Uint64(b[fpsr:])) //nolint:gosec // no bit above is defined
}
