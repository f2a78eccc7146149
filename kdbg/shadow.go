package kdbg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

const (
	gateSize   = 16  // bytes of an IDT gate of 64-bit mode (Intel SDM vol. 3, 6.14.1)
	gates      = 32  // vectors of exceptions
	stubLength = 128 // bytes of a handler that are looked at
	loadWithin = 16  // bytes from one instruction to the other

	offPCRSelf = 0x18 // KPCR.Self
	offPCRPrcb = 0x20 // KPCR.CurrentPrcb
	// maxPCR bounds an offset in KPCR with KPRCB: KDBG states sizes as u16.
	maxPCR = 0x10000
)

// The two instructions with which an entry stub of a guest with KVA shadowing
// leaves the user's page tables (bytes in public disassemblies of
// KiDivideErrorFaultShadow): mov rsp, gs:[imm32] and mov cr3, rsp.
var (
	movRspGS  = []byte{0x65, 0x48, 0x8b, 0x24, 0x25}
	movCR3Rsp = []byte{0x0f, 0x22, 0xdc}
)

// directoryOffsets are the known offsets in KPCR of
// KPRCB.KernelDirectoryTableBase: 1507 to 1909, 2004 and later, the newest, Windows 7
// with updates (Volatility's profiles, QEMU contrib/elf2dmp, public disassemblies).
var directoryOffsets = []uint32{0x7000, 0x9000, 0xa000, 0x6000}

// Gate returns the handler of a vector from the interrupt descriptor table at idt.
// Errors: a *vtop.FaultError wrapped, or a [PointerError].
func Gate(s *vtop.Space, idt vtop.VA, vector int) (vtop.VA, error) {
	size, address := gateSize, gate64
	if s.PointerSize() == pointerSize32 {
		size, address = gateSize32, gate32
	}
	b := make([]byte, size)
	at := idt + vtop.VA(vector*size) //nolint:gosec // vectors are 0 to 255
	if _, err := s.ReadVirtual(b, at); err != nil {
		return 0, fmt.Errorf("gate %d of the IDT: %w", vector, err)
	}
	va := address(b)
	if !kernelAddress(s, va) {
		return 0, &PointerError{What: fmt.Sprintf("gate %d of the IDT", vector), At: at, Got: va}
	}
	return va, nil
}

func gate64(b []byte) vtop.VA {
	le := binary.LittleEndian
	return vtop.VA(le.Uint16(b)) | vtop.VA(le.Uint16(b[6:]))<<16 | vtop.VA(le.Uint32(b[8:]))<<32
}

// ShadowRoot is a root of the kernel's page tables that a vCPU's shadow page
// tables led to.
type ShadowRoot struct {
	// DTB is the CR3 value that Windows would load, without flags.
	DTB uint64
	// Offset is where in KPCR it stands, Stub whether an entry stub says so;
	// otherwise it is one of the known offsets.
	Offset uint32
	Stub   bool
}

// KernelRoots returns what KPRCB.KernelDirectoryTableBase may be, as seen through
// the page tables that user mode runs on with KVA shadowing: these map the IDT, the
// entry stubs and a part of KPCR. The offset is taken from the stubs, then from
// the known ones. pcr is the kernel's GS base. A root is believed only when it
// maps what it has to. The error says why pcr is no KPCR.
func KernelRoots(s *vtop.Space, idt, pcr vtop.VA) ([]ShadowRoot, error) {
	if err := CheckPCR(s, pcr); err != nil {
		return nil, err
	}
	var list []ShadowRoot
	seen := map[uint64]bool{}
	add := func(offset uint32, stub bool) {
		v, err := s.Uint64(pcr + vtop.VA(offset))
		if dtb := s.Mode.Root(v); err == nil && dtb != 0 && !seen[uint64(dtb)] {
			seen[uint64(dtb)] = true
			list = append(list, ShadowRoot{DTB: uint64(dtb), Offset: offset, Stub: stub})
		}
	}
	for vector := range gates {
		if offset, ok := stubOffset(s, idt, vector); ok {
			add(offset, true)
		}
	}
	for _, offset := range directoryOffsets {
		add(offset, false)
	}
	return list, nil
}

// CheckPCR checks that pcr is a KPCR: its Self and CurrentPrcb refer to it. Errors:
// a *vtop.FaultError wrapped, or a [PointerError].
func CheckPCR(s *vtop.Space, pcr vtop.VA) error {
	self, prcb, contained := vtop.VA(offPCRSelf), vtop.VA(offPCRPrcb), vtop.VA(defaultContainedPrcb)
	if s.PointerSize() == pointerSize32 {
		self, prcb, contained = pcrSelf32, pcrPrcb32, containedPrcb32
	}
	for _, f := range []struct {
		name string
		at   vtop.VA
		want vtop.VA
	}{{"KPCR.Self", pcr + self, pcr}, {"KPCR.CurrentPrcb", pcr + prcb, pcr + contained}} {
		v, err := s.Pointer(f.at)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if v != f.want || !kernelAddress(s, pcr) {
			return &PointerError{What: f.name, At: f.at, Got: v}
		}
	}
	return nil
}

// stubOffset finds the offset that a vector's entry stub loads CR3 from.
func stubOffset(s *vtop.Space, idt vtop.VA, vector int) (uint32, bool) {
	handler, err := Gate(s, idt, vector)
	if err != nil {
		return 0, false
	}
	code := make([]byte, stubLength)
	n, _ := s.ReadVirtual(code, handler) // what is readable of it
	code = code[:n]
	const imm = int(unsafe.Sizeof(uint32(0)))
	for {
		at := bytes.Index(code, movRspGS)
		if at < 0 || len(code)-at < len(movRspGS)+imm {
			return 0, false
		}
		code = code[at+len(movRspGS):]
		offset := binary.LittleEndian.Uint32(code)
		if bytes.Contains(code[imm:min(len(code), imm+loadWithin)], movCR3Rsp) && offset%wordSize == 0 && offset < maxPCR {
			return offset, true
		}
	}
}
