package vtop

import (
	"encoding/binary"
	"io"

	"windmp/physmem"
)

// LowStub is what a PROCESSOR_START_BLOCK tells: the page below 1 MiB through which
// Windows starts its other processors, and wakes them, left from the last start.
// Machines without such a page exist.
type LowStub struct {
	PA   PA
	Root uint64 // of the kernel, as it was loaded
	Mode *Mode
	// Target is LmTarget, the code to which the stub goes, in the kernel or the HAL;
	// SystemCall is IA32_LSTAR, 0 if it was not yet set.
	Target, SystemCall VA
}

// LowStubLayout is how a PROCESSOR_START_BLOCK is known and where it keeps what.
type LowStubLayout struct {
	Limit     uint64 // the physical address below which it lies
	Signature Bits   // its first 8 bytes
	// Where it keeps the code to which it goes, the root and the control
	// register of the mode, and the system calls' address.
	Target, Root, Control, SystemCall int
	// What code and root must be like.
	TargetBits, RootBits Bits
}

// lowStub64 is that of x64 (layout: MemProcFS and several public definitions).
var lowStub64 = &LowStubLayout{
	Limit: 1 << 20,
	// A 16-bit jump over the header, CompletionFlag 1.
	Signature: Bits{Mask: 0xffffffff_ffff00ff, Value: 0x00000001_000600e9},
	Target:    0x70, TargetBits: Bits{Mask: 0xfffff800_00000003, Value: 0xfffff800_00000000},
	Root: 0xa0, RootBits: Bits{Mask: 0xffff0000_00000fff}, // ProcessorState.SpecialRegisters.Cr3, a page's address
	Control:    0xa8,  // Cr4
	SystemCall: 0x150, // MsrLStar
}

// LowStubs returns the low stubs of a guest that runs in one of the modes. The
// ranges are what mem holds.
func LowStubs(mem io.ReaderAt, ranges []physmem.Range, modes []*Mode) []LowStub {
	limit := uint64(0)
	for _, m := range modes {
		if m.LowStub != nil {
			limit = max(limit, m.LowStub.Limit)
		}
	}
	var out []LowStub
	page := make([]byte, pageSize)
	for _, r := range ranges {
		for pa := (r.Start + pageSize - 1) &^ (pageSize - 1); pa < min(limit, r.End()); pa += pageSize {
			if n, _ := mem.ReadAt(page, int64(pa)); n < len(page) { //nolint:gosec // below the limit
				continue
			}
			for _, m := range modes {
				if stub, ok := m.lowStub(page); ok && pa < m.LowStub.Limit {
					stub.PA = PA(pa)
					out = append(out, stub)
				}
			}
		}
	}
	return out
}

// lowStub is what a page tells if it is a low stub of this mode.
func (m *Mode) lowStub(page []byte) (LowStub, bool) {
	l := m.LowStub
	if l == nil {
		return LowStub{}, false
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(page[at:]) }
	target, root := word(l.Target), word(l.Root)
	if !l.Signature.In(word(0)) || !l.TargetBits.In(target) || root == 0 || !l.RootBits.In(root) || !m.Control.In(word(l.Control)) {
		return LowStub{}, false
	}
	return LowStub{Root: root, Mode: m, Target: VA(target), SystemCall: VA(word(l.SystemCall))}, true
}
