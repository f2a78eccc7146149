package kdbg

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// Descriptor is KDESCRIPTOR of x64: what LGDT and LIDT load.
type Descriptor struct {
	Pad   [3]uint16
	Limit uint16 // bytes - 1
	Base  uint64 // VA
}

// SpecialRegisters is KSPECIAL_REGISTERS of x64 up to MsrSyscallMask (types in
// ntoskrnl's public symbols, Volatility's profiles). Debuggers take a processor's
// control registers, descriptor tables and debug registers from it. Newer builds
// append fields.
type SpecialRegisters struct {
	Cr0, Cr2, Cr3, Cr4                       uint64 // 0x00
	KernelDr0, KernelDr1, KernelDr2          uint64 // 0x20
	KernelDr3, KernelDr6, KernelDr7          uint64 // 0x38
	Gdtr, Idtr                               Descriptor
	Tr, Ldtr                                 uint16 // 0x70, selectors
	MxCsr                                    uint32 // 0x74
	DebugControl                             uint64 // 0x78, MSR IA32_DEBUGCTL
	LastBranchToRip, LastBranchFromRip       uint64 // 0x80
	LastExceptionToRip, LastExceptionFromRip uint64 // 0x90
	Cr8                                      uint64 // 0xa0
	MsrGsBase, MsrGsSwap                     uint64 // 0xa8, VA of the KPCR; the other GS base
	MsrStar, MsrLStar, MsrCStar              uint64 // 0xb8, system call entries
	MsrSyscallMask                           uint64 // 0xd0
}

// SpecialRegistersSize is the wire size of [SpecialRegisters] in bytes.
const SpecialRegistersSize = 0xd8

var _ [SpecialRegistersSize]byte = [unsafe.Sizeof(SpecialRegisters{})]byte{}

// ReadSpecialRegisters reads the structure at va; of a 32-bit kernel
// [SpecialRegisters32], whose numbers are widened. The error wraps a
// *vtop.FaultError.
func ReadSpecialRegisters(s *vtop.Space, va vtop.VA) (*SpecialRegisters, error) {
	if s.PointerSize() == pointerSize32 {
		r, err := readSpecialRegisters32(s, va)
		if err != nil {
			return nil, err
		}
		return r.widened(), nil
	}
	var b [SpecialRegistersSize]byte
	if _, err := s.ReadVirtual(b[:], va); err != nil {
		return nil, fmt.Errorf("special registers at %v: %w", va, err)
	}
	return DecodeSpecialRegisters(b[:])
}

// DecodeSpecialRegisters decodes the first [SpecialRegistersSize] bytes of b.
func DecodeSpecialRegisters(b []byte) (*SpecialRegisters, error) {
	var r SpecialRegisters
	if _, err := binary.Decode(b, binary.LittleEndian, &r); err != nil {
		return nil, fmt.Errorf("special registers: got %#x bytes, want %#x: %w", len(b), SpecialRegistersSize, err)
	}
	return &r, nil
}

// Encode returns the [SpecialRegistersSize] bytes that DecodeSpecialRegisters
// takes.
func (r *SpecialRegisters) Encode() []byte {
	b := make([]byte, SpecialRegistersSize)
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Encode(b, binary.LittleEndian, r)
	return b
}
