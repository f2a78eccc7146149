package winhdr

import (
	"encoding/binary"
	"fmt"
)

// Signatures, read as little-endian 32-bit numbers.
const (
	// SignaturePAGE is "PAGE", the first four bytes of every kernel dump.
	SignaturePAGE uint32 = 0x45474150
	// ValidDumpDU64 is "DU64", the second four bytes of a 64-bit dump.
	ValidDumpDU64 uint32 = 0x34365544
	// ValidDumpDUMP is "DUMP", the second four bytes of a 32-bit dump.
	ValidDumpDUMP uint32 = 0x504d5544
	// Fill is the pattern with which Windows fills a header before it sets
	// fields, so that a field still equal to it was never set. It is the
	// same number as SignaturePAGE.
	Fill = SignaturePAGE
	// Fill64 is Fill seen by a 64-bit field.
	Fill64 = uint64(Fill)<<32 | uint64(Fill)
)

// Values of Header.MachineImageType (IMAGE_FILE_MACHINE_* of the PE format).
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

// StatusBreakpoint is STATUS_BREAKPOINT (ntstatus.h), the exception code
// in the header of a bug check dump. Microsoft's debugger engine
// complains about any other.
const StatusBreakpoint uint32 = 0x80000003

// tag shows a signature as text and number.
func tag(v uint32) string {
	return fmt.Sprintf("%q (0x%08x)", binary.LittleEndian.AppendUint32(nil, v), v)
}

// unread are machines that are known and whose dumps are not read.
var unread = map[uint32]string{MachineARM: "32-bit Arm", MachineIA64: "Itanium"}

// Unread is the machine of a MachineImageType in words, where dumps of such
// machines are known and not read; empty for all others.
func Unread(machine uint32) string { return unread[machine] }

// machine shows a MachineImageType with the name of the machine.
func machine(v uint32) string {
	if title := Unread(v); title != "" {
		return fmt.Sprintf("0x%x (%s)", v, title)
	}
	for _, f := range Formats() {
		if f.Machine == v {
			return f.machineText()
		}
	}
	return hex(v)
}

// machineText is the machine type that the format's headers have.
func (f *Format) machineText() string { return fmt.Sprintf("0x%x (%s)", f.Machine, f.Title) }
