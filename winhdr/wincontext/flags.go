package wincontext

import (
	"fmt"
	"strings"
)

// ContextFlags says which registers of a Context64 are valid (CONTEXT_* of
// winnt.h).
type ContextFlags uint32

// The parts of an x64 context. Each holds ContextAMD64, as in winnt.h.
const (
	// ContextAMD64 marks the context as an x64 one.
	ContextAMD64 ContextFlags = 0x100000
	// ContextControl is SegSs, Rsp, SegCs, Rip and EFlags.
	ContextControl = ContextAMD64 | 0x1
	// ContextInteger is Rax to R15 but Rsp.
	ContextInteger = ContextAMD64 | 0x2
	// ContextSegments is SegDs, SegEs, SegFs and SegGs.
	ContextSegments = ContextAMD64 | 0x4
	// ContextFloatingPoint is FltSave.
	ContextFloatingPoint = ContextAMD64 | 0x8
	// ContextDebugRegisters is Dr0 to Dr7.
	ContextDebugRegisters = ContextAMD64 | 0x10

	// ContextQEMU is what QEMU sets in the contexts of a Windows dump
	// (dump/win_dump.c), CONTEXT_ALL of winnt.h.
	ContextQEMU = ContextControl | ContextInteger | ContextSegments |
		ContextFloatingPoint | ContextDebugRegisters
)

// Has reports whether all bits of want are set.
func (f ContextFlags) Has(want ContextFlags) bool { return f&want == want }

// String names the parts, as in "AMD64|CONTROL|INTEGER", and gives bits without
// a name in hex.
func (f ContextFlags) String() string {
	names := []struct {
		bit  ContextFlags
		name string
	}{
		{ContextAMD64, "AMD64"},
		{ContextControl &^ ContextAMD64, "CONTROL"},
		{ContextInteger &^ ContextAMD64, "INTEGER"},
		{ContextSegments &^ ContextAMD64, "SEGMENTS"},
		{ContextFloatingPoint &^ ContextAMD64, "FLOATING_POINT"},
		{ContextDebugRegisters &^ ContextAMD64, "DEBUG_REGISTERS"},
	}
	var parts []string
	for _, n := range names {
		if f.Has(n.bit) {
			parts = append(parts, n.name)
			f &^= n.bit
		}
	}
	if f != 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("0x%x", uint32(f)))
	}
	return strings.Join(parts, "|")
}
