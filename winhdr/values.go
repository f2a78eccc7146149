package winhdr

import (
	"encoding/binary"
	"fmt"

	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// Signatures, read as little-endian 32-bit numbers.
const (
	// SignaturePAGE is "PAGE", the first four bytes of every kernel dump.
	SignaturePAGE uint32 = 0x45474150
	// ValidDumpDU64 is "DU64", the second four bytes of a 64-bit dump.
	ValidDumpDU64 uint32 = 0x34365544
	// ValidDumpDUMP is "DUMP", the second four bytes of a 32-bit dump.
	ValidDumpDUMP uint32 = 0x504d5544
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
var unread = map[uint32]string{wincontext.MachineARM: "32-bit Arm", wincontext.MachineIA64: "Itanium"}

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
	return problem.Hex(v)
}

// machineText is the machine type that the format's headers have.
func (f *Format) machineText() string { return fmt.Sprintf("0x%x (%s)", f.Machine, f.Title) }
