package kdbg

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// MaxMemoryRuns bounds the runs of a guest's own table of memory. Firmware of large
// machines makes a few dozen.
const MaxMemoryRuns = 1024

// maxPFN is the number of pages that 52-bit physical addresses have.
const maxPFN = 1 << 40

// MemoryRun is a run of physical pages that Windows uses as memory.
type MemoryRun struct{ BasePage, PageCount uint64 }

// memoryDescriptor is the head of PHYSICAL_MEMORY_DESCRIPTOR as the kernel keeps
// it (Microsoft ntddk.h: ULONG, then PFN_NUMBERs; the runs follow).
type memoryDescriptor struct {
	NumberOfRuns  uint32
	_             uint32
	NumberOfPages uint64
}

// PhysicalMemory reads what *MmPhysicalMemoryBlock describes: the memory that the
// firmware gave Windows, without ROM and video memory; ascending, disjoint.
// Errors: [FieldError], [PointerError], a *vtop.FaultError wrapped, [ErrTooMany], or
// [ErrImplausible].
func PhysicalMemory(s *vtop.Space, b *Block) ([]MemoryRun, error) {
	variable, err := b.field(s, "MmPhysicalMemoryBlock", unsafe.Offsetof(b.Data.MmPhysicalMemoryBlock), b.Data.MmPhysicalMemoryBlock)
	if err != nil {
		return nil, err
	}
	at, err := s.Pointer(variable)
	if err != nil {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: %w", err)
	}
	if !kernelAddress(s, at) {
		return nil, &PointerError{What: "MmPhysicalMemoryBlock", At: variable, Got: at}
	}
	read := readMemory64
	if s.PointerSize() == pointerSize32 {
		read = readMemory32
	}
	runs, pages, err := read(s, at)
	if err != nil {
		return nil, err
	}
	return runs, checkRuns(at, runs, pages)
}

// readMemory64 reads the runs and NumberOfPages of the descriptor.
func readMemory64(s *vtop.Space, at vtop.VA) ([]MemoryRun, uint64, error) {
	var head memoryDescriptor
	if err := readStruct(s, at, &head); err != nil {
		return nil, 0, fmt.Errorf("memory block: %w", err)
	}
	if err := checkRunCount(at, head.NumberOfRuns); err != nil {
		return nil, 0, err
	}
	runs := make([]MemoryRun, head.NumberOfRuns)
	if err := readStruct(s, at+vtop.VA(unsafe.Sizeof(head)), runs); err != nil {
		return nil, 0, fmt.Errorf("memory block: %w", err)
	}
	return runs, head.NumberOfPages, nil
}

func checkRunCount(at vtop.VA, n uint32) error {
	if n == 0 || n > MaxMemoryRuns {
		return fmt.Errorf("memory block at %v: %w: %d runs, want 1..%d", at, ErrTooMany, n, MaxMemoryRuns)
	}
	return nil
}

func checkRuns(at vtop.VA, runs []MemoryRun, pages uint64) error {
	var sum, end uint64
	for i, r := range runs {
		if r.PageCount == 0 || r.BasePage < end || r.BasePage > maxPFN || r.PageCount > maxPFN-r.BasePage {
			return fmt.Errorf("memory block at %v: %w: run %d is pages %#x+%#x behind %#x", at, ErrImplausible, i, r.BasePage, r.PageCount, end)
		}
		end = r.BasePage + r.PageCount
		sum += r.PageCount
	}
	if sum != pages {
		return fmt.Errorf("memory block at %v: %w: the runs hold %#x pages, NumberOfPages is %#x", at, ErrImplausible, sum, pages)
	}
	return nil
}

// readStruct reads a fixed-size value.
func readStruct(s *vtop.Space, at vtop.VA, v any) error {
	b := make([]byte, binary.Size(v))
	if _, err := s.ReadVirtual(b, at); err != nil {
		return err
	}
	_, err := binary.Decode(b, binary.LittleEndian, v)
	return err
}

// Version is what DBGKD_GET_VERSION64 says (wdbgexts.h): nt!KdVersionBlock, which
// is never encoded.
type Version struct {
	// Major is 0xf in a free build, 0xc in a checked one; Minor is the build.
	Major, Minor uint16
	// Machine is the PE machine type.
	Machine uint16
	// KernBase and PsLoadedModuleList are the kernel's.
	KernBase, PsLoadedModuleList vtop.VA
}

// versionBlock is DBGKD_GET_VERSION64.
type versionBlock struct {
	MajorVersion, MinorVersion                          uint16
	ProtocolVersion, KdSecondaryVersion                 uint8
	Flags, MachineType                                  uint16
	_                                                   [6]byte
	KernBase, PsLoadedModuleList, DebuggerDataListHeads uint64
}

// offPCRVersion is KPCR.KdVersionBlock on x64 (Volatility's profiles); it may be
// null.
const offPCRVersion = 0x108

// ReadVersion reads the version block that a processor's KPCR names, and checks
// that it belongs to b's kernel. Errors: [PointerError], a *vtop.FaultError wrapped,
// [ErrImplausible].
func ReadVersion(s *vtop.Space, b *Block, pcr vtop.VA) (*Version, error) {
	v, err := ReadVersionOf(s, pcr)
	if err != nil {
		return nil, err
	}
	if uint64(v.KernBase) != b.Data.KernBase || uint64(v.PsLoadedModuleList) != b.Data.PsLoadedModuleList {
		return nil, fmt.Errorf("KdVersionBlock: %w: KernBase %#x, PsLoadedModuleList %#x are not this kernel's", ErrImplausible, v.KernBase, v.PsLoadedModuleList)
	}
	return v, nil
}

// ReadVersionOf is [ReadVersion] of a kernel of which nothing is known yet: what
// the block says is not checked.
func ReadVersionOf(s *vtop.Space, pcr vtop.VA) (*Version, error) {
	from, mask := pcr+offPCRVersion, ^uint64(0)
	if s.PointerSize() == pointerSize32 {
		// Addresses are extended by their sign there (ReactOS).
		from, mask = pcr+pcrVersion32, 0xffffffff
	}
	at, err := s.Pointer(from)
	if err != nil {
		return nil, fmt.Errorf("KPCR.KdVersionBlock: %w", err)
	}
	if !kernelAddress(s, at) {
		return nil, &PointerError{What: "KPCR.KdVersionBlock", At: from, Got: at}
	}
	var v versionBlock
	if err := readStruct(s, at, &v); err != nil {
		return nil, fmt.Errorf("KdVersionBlock: %w", err)
	}
	return &Version{
		Major: v.MajorVersion, Minor: v.MinorVersion, Machine: v.MachineType,
		KernBase: vtop.VA(v.KernBase & mask), PsLoadedModuleList: vtop.VA(v.PsLoadedModuleList & mask),
	}, nil
}

// The System process' name among the kernel's exports, and KPRCB.IdleThread where a
// block does not state it (builds 9600 to 26100 state this).
const (
	initialProcess    = "PsInitialSystemProcess"
	defaultIdleThread = 0x18
	defaultApcProcess = 0xb8 // KTHREAD.ApcState.Process, since Windows 8
	defaultDirectory  = 0x28 // EPROCESS.Pcb.DirectoryTableBase, on all of x64
)

// SystemDirectory returns DirectoryTableBase of the System process, which maps the
// kernel as every process does and which dump headers name: through the kernel's
// export PsInitialSystemProcess, else by the idle thread of the processor at prcb. The
// error is that of the last way. im may be nil.
func SystemDirectory(s *vtop.Space, b *Block, im *Image, prcb vtop.VA) (uint64, error) {
	if im != nil {
		if variable, err := im.Export(s, initialProcess); err == nil {
			if v, err := directoryOf(s, b, variable); err == nil {
				return v, nil
			}
		}
	}
	idleThread, apcProcess := vtop.VA(defaultIdleThread), vtop.VA(defaultApcProcess)
	if s.PointerSize() == pointerSize32 {
		idleThread, apcProcess = idleThread32, apcProcess32
	}
	thread, err := s.Pointer(prcb + offsetOr(b.Data.OffsetPrcbIdleThread, idleThread))
	if err != nil {
		return 0, fmt.Errorf("KPRCB.IdleThread: %w", err)
	}
	if !kernelAddress(s, thread) {
		return 0, &PointerError{What: "KPRCB.IdleThread", At: prcb, Got: thread}
	}
	return directoryOf(s, b, thread+offsetOr(b.Data.OffsetKThreadApcProcess, apcProcess))
}

// directoryOf reads the directory base of the process that the pointer at
// variable refers to.
func directoryOf(s *vtop.Space, b *Block, variable vtop.VA) (uint64, error) {
	process, err := s.Pointer(variable)
	if err != nil {
		return 0, fmt.Errorf("EPROCESS: %w", err)
	}
	if !kernelAddress(s, process) {
		return 0, &PointerError{What: "EPROCESS", At: variable, Got: process}
	}
	directory := vtop.VA(defaultDirectory)
	if s.PointerSize() == pointerSize32 {
		directory = directory32
	}
	v, err := s.Pointer(process + offsetOr(b.Data.OffsetEprocessDirectoryTableBase, directory))
	if err != nil {
		return 0, fmt.Errorf("EPROCESS.DirectoryTableBase: %w", err)
	}
	return uint64(v), nil
}
