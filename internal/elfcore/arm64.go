package elfcore

import "unsafe"

// PrstatusARM64 is the AArch64 elf_prstatus of a CORE note as QEMU fills it
// (target/arm/arch_dump.c, aarch64_elf_prstatus).
type PrstatusARM64 struct {
	Pad1 [32]byte
	PID  uint32 // cpu_index + 1
	Pad2 [76]byte

	X              [31]uint64
	SP, PC, PSTATE uint64
	FPValid        uint32
	Pad3           [4]byte
}

// PrfpregARM64 is Linux' user_fpsimd_state, which QEMU fills for a CORE note of type
// NT_PRFPREG (target/arm/arch_dump.c, aarch64_user_vfp_state).
type PrfpregARM64 struct {
	V          [32][2]uint64 // the lower half first
	FPSR, FPCR uint32
	Pad        [8]byte
}

// Sizes of a CORE note's payload in bytes.
const (
	PrstatusARM64Size = 392
	PrfpregARM64Size  = 528
)

var (
	_ = [1]byte{}[unsafe.Sizeof(PrstatusARM64{})-PrstatusARM64Size]
	_ = [1]byte{}[unsafe.Sizeof(PrfpregARM64{})-PrfpregARM64Size]
)
