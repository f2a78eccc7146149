package kdbg

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"unsafe"

	"windmp/vtop"
)

// What is different on 32-bit x86. Offsets are those of ntoskrnl's public symbols as
// Volatility's profiles give them.
const (
	pointerSize32 = 4
	// kernelStart32 is the lowest kernel address. With the boot option
	// increaseuserva, once /3GB, the kernel has less than that.
	kernelStart32 vtop.VA = 0x80000000

	// SharedUserDataVA32 is the kernel address of KUSER_SHARED_DATA on x86, on
	// all builds.
	SharedUserDataVA32 vtop.VA = 0xffdf0000

	containedPrcb32 = 0x120 // KPCR.PrcbData
	prcbNumber32    = 0x3cc // KPRCB.Number, since Windows 7
	prcbNumberXP    = 0x10  // before that

	contextSize32 = 0x2cc // of ContextFrame, before SpecialRegisters
)

// SharedUserDataOf is the kernel address of KUSER_SHARED_DATA in the space.
func SharedUserDataOf(s *vtop.Space) vtop.VA {
	if s.PointerSize() == pointerSize32 {
		return SharedUserDataVA32
	}
	return SharedUserDataVA
}

// decodeFor decodes a plain block of the space's kernel.
func decodeFor(s *vtop.Space, raw []byte) Data {
	d := decodeData(raw)
	if s.PointerSize() != pointerSize32 {
		return d
	}
	fields := reflect.ValueOf(&d).Elem()
	for i := range fields.NumField() {
		if f := fields.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(f.Uint() & 0xffffffff)
		}
	}
	links := d.Header.List.Flink
	d.Header.List = ListEntry64{Flink: links & 0xffffffff, Blink: links >> 32}
	if len(raw) <= maxSizeXP {
		d.setOffsetsXP()
	}
	return d
}

// candidate32 is candidate for a plain block of a 32-bit kernel: a list entry of 8
// bytes, zeros, and pointers whose upper halves are zero or repeat bit 31.
func candidate32(b []byte) (Candidate, bool) {
	at := func(offset uintptr) uint64 { return binary.LittleEndian.Uint64(b[offset:]) }
	narrow := func(offset uintptr) (uint64, bool) {
		v := at(offset)
		high := v >> 32
		return v & 0xffffffff, vtop.VA(v&0xffffffff) >= kernelStart32 && (high == 0 || high == 0xffffffff)
	}
	var d Data
	size := sizeOf(at(offOwnerTag))
	base, ok := narrow(unsafe.Offsetof(d.KernBase))
	if !ok || !validSize(size) || at(offMmPageSize) != pageSize || base%pageSize != 0 || at(unsafe.Offsetof(d.Header.List.Blink)) != 0 {
		return Candidate{}, false
	}
	for _, offset := range []uintptr{unsafe.Offsetof(d.PsLoadedModuleList), unsafe.Offsetof(d.PsActiveProcessHead)} {
		if v, ok := narrow(offset); !ok || v < base || v-base >= MaxImageSize {
			return Candidate{}, false
		}
	}
	return Candidate{Is32: true, Size: size, List: vtop.VA(at(0) & 0xffffffff), KernBase: vtop.VA(base)}, true
}

// Selectors and offsets by which a processor's KPCR is found (Intel SDM vol. 3,
// 3.4.5; KDBG states GdtR0Pcr; KPCR of Volatility's profiles, alike in all builds).
const (
	selectorPCR  = 0x30
	segmentSize  = 8
	gateSize32   = 8 // Intel SDM vol. 3, 6.11
	pcrSelf32    = 0x1c
	pcrPrcb32    = 0x20
	pcrVersion32 = 0x34
	idleThread32 = 0x0c // KPRCB.IdleThread
	apcProcess32 = 0x44 // KTHREAD.ApcState.Process of XP; later blocks state it
	directory32  = 0x18 // EPROCESS.Pcb.DirectoryTableBase
	memoryHead32 = 8
)

// PCR32 returns the KPCR of the processor whose descriptor table is at gdt: what the
// kernel loads FS with, also while user mode runs. Errors are those of [CheckPCR].
func PCR32(s *vtop.Space, gdt vtop.VA) (vtop.VA, error) {
	var b [segmentSize]byte
	if _, err := s.ReadVirtual(b[:], gdt+selectorPCR); err != nil {
		return 0, fmt.Errorf("descriptor %#x of the GDT: %w", selectorPCR, err)
	}
	le := binary.LittleEndian
	pcr := vtop.VA(le.Uint16(b[2:])) | vtop.VA(b[4])<<16 | vtop.VA(b[7])<<24
	return pcr, CheckPCR(s, pcr)
}

// gate32 is Gate's address in a descriptor of 8 bytes.
func gate32(b []byte) vtop.VA {
	le := binary.LittleEndian
	return vtop.VA(le.Uint16(b)) | vtop.VA(le.Uint16(b[6:]))<<16
}

// readMemory32 reads PHYSICAL_MEMORY_DESCRIPTOR of x86: counts and runs of a ULONG
// each, with PAE too.
func readMemory32(s *vtop.Space, at vtop.VA) ([]MemoryRun, uint64, error) {
	var head struct{ NumberOfRuns, NumberOfPages uint32 }
	if err := readStruct(s, at, &head); err != nil {
		return nil, 0, fmt.Errorf("memory block: %w", err)
	}
	if err := checkRunCount(at, head.NumberOfRuns); err != nil {
		return nil, 0, err
	}
	raw := make([]struct{ BasePage, PageCount uint32 }, head.NumberOfRuns)
	if err := readStruct(s, at+memoryHead32, raw); err != nil {
		return nil, 0, fmt.Errorf("memory block: %w", err)
	}
	runs := make([]MemoryRun, len(raw))
	for i, r := range raw {
		runs[i] = MemoryRun{BasePage: uint64(r.BasePage), PageCount: uint64(r.PageCount)}
	}
	return runs, uint64(head.NumberOfPages), nil
}

// maxSizeXP is the largest Size of Windows XP, bytes: its block ends before the
// offsets in structures.
const maxSizeXP = int(unsafe.Offsetof(Data{}.OffsetKThreadNextProcessor))

// setOffsetsXP sets the offsets that debuggers assume where a block has none:
// those of XP.
func (d *Data) setOffsetsXP() {
	d.OffsetKThreadApcProcess = 0x44
	d.OffsetEprocessPeb, d.OffsetEprocessParentCID, d.OffsetEprocessDirectoryTableBase = 0x1b0, 0x14c, 0x18
	d.OffsetPrcbCurrentThread, d.OffsetPrcbNumber = 0x4, prcbNumberXP
	d.OffsetPrcbProcStateContext = 0x1c
}

// readBugCheck32 reads code and parameters of a ULONG each.
func readBugCheck32(s *vtop.Space, at vtop.VA) (BugCheck, error) {
	var raw [20]byte
	if _, err := s.ReadVirtual(raw[:], at); err != nil {
		return BugCheck{}, fmt.Errorf("KiBugcheckData: %w", err)
	}
	bc := BugCheck{Code: binary.LittleEndian.Uint32(raw[:])}
	for i := range bc.Parameters {
		bc.Parameters[i] = uint64(binary.LittleEndian.Uint32(raw[4+4*i:]))
	}
	return bc, nil
}

// unicodeString32 is UNICODE_STRING of x86.
type unicodeString32 struct {
	Length, MaximumLength uint16 // bytes
	Buffer                uint32 // VA
}

func (u unicodeString32) widened() unicodeString {
	return unicodeString{Length: u.Length, MaximumLength: u.MaximumLength, Buffer: uint64(u.Buffer)}
}

// loaderEntry32 is loaderEntry of x86.
type loaderEntry32 struct {
	Flink, Blink uint32 // InLoadOrderLinks
	_            [0x10]byte
	DllBase      uint32 // 0x18
	EntryPoint   uint32
	SizeOfImage  uint32
	FullDllName  unicodeString32 // 0x24
	BaseDllName  unicodeString32 // 0x2c
}

const loaderEntrySize32 = 0x34

var _ [loaderEntrySize32]byte = [unsafe.Sizeof(loaderEntry32{})]byte{}

func readLoaderEntry32(s *vtop.Space, at vtop.VA) (*loaderEntry, error) {
	var b [loaderEntrySize32]byte
	if _, err := s.ReadVirtual(b[:], at); err != nil {
		return nil, fmt.Errorf("loader entry at %v: %w", at, err)
	}
	var e loaderEntry32
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(b[:], binary.LittleEndian, &e)
	return &loaderEntry{
		InLoadOrderLinks: ListEntry64{Flink: uint64(e.Flink), Blink: uint64(e.Blink)},
		DllBase:          uint64(e.DllBase), EntryPoint: uint64(e.EntryPoint), SizeOfImage: e.SizeOfImage,
		FullDllName: e.FullDllName.widened(), BaseDllName: e.BaseDllName.widened(),
	}, nil
}

// Descriptor32 is KDESCRIPTOR of x86.
type Descriptor32 struct {
	Pad   uint16
	Limit uint16 // bytes - 1
	Base  uint32 // VA
}

// SpecialRegisters32 is KSPECIAL_REGISTERS of x86 up to Ldtr.
type SpecialRegisters32 struct {
	Cr0, Cr2, Cr3, Cr4              uint32 // 0x00
	KernelDr0, KernelDr1, KernelDr2 uint32 // 0x10
	KernelDr3, KernelDr6, KernelDr7 uint32 // 0x1c
	Gdtr, Idtr                      Descriptor32
	Tr, Ldtr                        uint16 // 0x38, selectors
}

// SpecialRegistersSize32 is the wire size of [SpecialRegisters32] in bytes.
const SpecialRegistersSize32 = 0x3c

var _ [SpecialRegistersSize32]byte = [unsafe.Sizeof(SpecialRegisters32{})]byte{}

// widened has the same registers in the form of x64.
func (r *SpecialRegisters32) widened() *SpecialRegisters {
	table := func(d Descriptor32) Descriptor { return Descriptor{Limit: d.Limit, Base: uint64(d.Base)} }
	return &SpecialRegisters{
		Cr0: uint64(r.Cr0), Cr2: uint64(r.Cr2), Cr3: uint64(r.Cr3), Cr4: uint64(r.Cr4),
		KernelDr0: uint64(r.KernelDr0), KernelDr1: uint64(r.KernelDr1), KernelDr2: uint64(r.KernelDr2),
		KernelDr3: uint64(r.KernelDr3), KernelDr6: uint64(r.KernelDr6), KernelDr7: uint64(r.KernelDr7),
		Gdtr: table(r.Gdtr), Idtr: table(r.Idtr), Tr: r.Tr, Ldtr: r.Ldtr,
	}
}

func readSpecialRegisters32(s *vtop.Space, va vtop.VA) (*SpecialRegisters32, error) {
	var b [SpecialRegistersSize32]byte
	if _, err := s.ReadVirtual(b[:], va); err != nil {
		return nil, fmt.Errorf("special registers at %v: %w", va, err)
	}
	r := new(SpecialRegisters32)
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(b[:], binary.LittleEndian, r)
	return r, nil
}
