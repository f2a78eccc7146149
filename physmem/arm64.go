package physmem

// MachineARM64 is 64-bit Arm, as a container names it.
const MachineARM64 Machine = "arm64"

// ARM64 are the registers of a processor of 64-bit Arm.
type ARM64 struct {
	// X are X0 to X30. R0 to R14 of 32-bit code are X0 to X14 (Arm ARM, D1.20.1).
	X  [31]uint64
	SP uint64 // that which the exception level used; in 32-bit code R13
	PC uint64
	// PSTATE is in the form of SPSR_EL1 (Arm ARM): bits 2 and 3 are the exception
	// level, bit 4 is set in 32-bit code.
	PSTATE uint64

	// The rest is nil where the file does not carry it: QEMU's notes have no system
	// registers.

	// Vector is the state of floating point and SIMD.
	Vector *ARM64Vector
	// System are the registers of EL1.
	System *ARM64System
}

// ARM64Vector are the registers of floating point and SIMD. V0 to V31 are the lower 128
// bits of the vectors of SVE.
type ARM64Vector struct {
	V          [32][2]uint64 // the lower half first
	FPSR, FPCR uint32
}

// ARM64System are the system registers of EL1, and those in which software keeps what is
// its own (Arm ARM, by their names).
type ARM64System struct {
	SCTLR, CPACR, TTBR0, TTBR1, TCR, MAIR, VBAR uint64
	ELR, SPSR, ESR, FAR                         uint64
	TPIDREL0, TPIDRROEL0, TPIDREL1              uint64
}

// ARM64Of returns the registers of a processor of 64-bit Arm, nil if c is another one.
func ARM64Of(c CPU) *ARM64 {
	x, _ := c.Registers.(*ARM64)
	return x
}

// Machine implements Registers.
func (c *ARM64) Machine() Machine { return MachineARM64 }

// Clone implements Registers.
func (c *ARM64) Clone() Registers {
	x := *c
	if x.Vector != nil {
		x.Vector = new(*x.Vector)
	}
	if x.System != nil {
		x.System = new(*x.System)
	}
	return &x
}

// mode32 is set in PSTATE of 32-bit code.
const mode32 = 1 << 4

// In32 reports whether the processor ran 32-bit code.
func (c *ARM64) In32() bool { return c.PSTATE&mode32 != 0 }

// EL returns the exception level that the processor ran at, 0 to 3: 1 is a kernel's.
func (c *ARM64) EL() int { return int(c.PSTATE >> 2 & 3) }
