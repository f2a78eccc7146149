package wincontext

// Values of a dump's MachineImageType (IMAGE_FILE_MACHINE_* of the PE format).
const (
	// MachineI386 is 32-bit x86.
	MachineI386 = 0x014c
	// MachineAMD64 is x64.
	MachineAMD64 = 0x8664
	// MachineARM is 32-bit Arm, of Windows RT (IMAGE_FILE_MACHINE_ARMNT).
	MachineARM = 0x01c4
	// MachineIA64 is the Itanium.
	MachineIA64 = 0x0200
	// MachineARM64 is 64-bit Arm.
	MachineARM64 = 0xaa64
)
