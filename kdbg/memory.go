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
	v, err := s.Uint64(variable)
	if err != nil {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: %w", err)
	}
	at := vtop.VA(v)
	if !kernelAddress(s, at) {
		return nil, &PointerError{What: "MmPhysicalMemoryBlock", At: variable, Got: at}
	}
	var head memoryDescriptor
	if err := readStruct(s, at, &head); err != nil {
		return nil, fmt.Errorf("memory block: %w", err)
	}
	if n := head.NumberOfRuns; n == 0 || n > MaxMemoryRuns {
		return nil, fmt.Errorf("memory block at %v: %w: %d runs, want 1..%d", at, ErrTooMany, n, MaxMemoryRuns)
	}
	runs := make([]MemoryRun, head.NumberOfRuns)
	if err := readStruct(s, at+vtop.VA(unsafe.Sizeof(head)), runs); err != nil {
		return nil, fmt.Errorf("memory block: %w", err)
	}
	return runs, checkRuns(at, runs, head.NumberOfPages)
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
	at, err := s.Uint64(pcr + offPCRVersion)
	if err != nil {
		return nil, fmt.Errorf("KPCR.KdVersionBlock: %w", err)
	}
	if !kernelAddress(s, vtop.VA(at)) {
		return nil, &PointerError{What: "KPCR.KdVersionBlock", At: pcr + offPCRVersion, Got: vtop.VA(at)}
	}
	var v versionBlock
	if err := readStruct(s, vtop.VA(at), &v); err != nil {
		return nil, fmt.Errorf("KdVersionBlock: %w", err)
	}
	if v.KernBase != b.Data.KernBase || v.PsLoadedModuleList != b.Data.PsLoadedModuleList {
		return nil, fmt.Errorf("KdVersionBlock at %v: %w: KernBase %#x, PsLoadedModuleList %#x are not this kernel's", vtop.VA(at), ErrImplausible, v.KernBase, v.PsLoadedModuleList)
	}
	return &Version{Major: v.MajorVersion, Minor: v.MinorVersion, Machine: v.MachineType}, nil
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
	thread, err := s.Uint64(prcb + offsetOr(b.Data.OffsetPrcbIdleThread, defaultIdleThread))
	if err != nil {
		return 0, fmt.Errorf("KPRCB.IdleThread: %w", err)
	}
	if !kernelAddress(s, vtop.VA(thread)) {
		return 0, &PointerError{What: "KPRCB.IdleThread", At: prcb, Got: vtop.VA(thread)}
	}
	return directoryOf(s, b, vtop.VA(thread)+offsetOr(b.Data.OffsetKThreadApcProcess, defaultApcProcess))
}

// directoryOf reads the directory base of the process that the pointer at
// variable refers to.
func directoryOf(s *vtop.Space, b *Block, variable vtop.VA) (uint64, error) {
	process, err := s.Uint64(variable)
	if err != nil {
		return 0, fmt.Errorf("EPROCESS: %w", err)
	}
	if !kernelAddress(s, vtop.VA(process)) {
		return 0, &PointerError{What: "EPROCESS", At: variable, Got: vtop.VA(process)}
	}
	v, err := s.Uint64(vtop.VA(process) + offsetOr(b.Data.OffsetEprocessDirectoryTableBase, defaultDirectory))
	if err != nil {
		return 0, fmt.Errorf("EPROCESS.DirectoryTableBase: %w", err)
	}
	return v, nil
}
