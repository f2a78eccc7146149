package winhdr

import (
	"unsafe"

	"windmp/physmem"
	"windmp/winhdr/fields"
	"windmp/winhdr/wincontext"
)

// X64 is the 64-bit dump header, DUMP_HEADER64, with the x64 CONTEXT.
var X64 = &Format{
	Name: "x64", Title: "x64",
	Machine: wincontext.MachineAMD64, ValidDump: ValidDumpDU64,
	Header: fields.Of[header64](),
	// Through BootID: Windows fills the rest with 'PAGE'.
	LeastSize:   int(unsafe.Offsetof(header64{}.Reserved)),
	Padding:     []string{"NumberOfRunsPad", "DumpTypePad"},
	SummarySize: SummaryDumpSize64,
	Triage:      triage64,
	// The greatest that Microsoft's debugger engine accepts (observed with
	// 10.0.10240).
	MaxProcessors: 0x500,
	// The first x64 release, Windows Server 2003 SP1. The engine takes builds 0
	// and 1 for systems without 64-bit addresses (observed with 10.0.10240).
	MinBuild: 3790,
	PFNLimit: physmem.MaxPFN, PFNReason: "physical addresses having 52 bits",
	PointerSize: 8,
	KernelStart: wincontext.KernelStart64,
	TableBase:   tableBase64,
	Registers:   fields.Of[wincontext.Context64](), DecodeContext: decoder(wincontext.DecodeContext64),
}

const (
	// maxRuns64 is how many runs a 64-bit header has room for. Microsoft
	// reserves 700 bytes for the descriptor (mindumpdef.h, DMP_PHYSICAL_-
	// MEMORY_BLOCK_SIZE_64): 16 for the two counts, 684 for runs of 16 bytes
	// each, so 42 whole ones. QEMU's win_dump_defs.h declares 43, because it
	// takes the four alignment bytes behind the block for a part of it;
	// Microsoft's debugger engine 10.0.10240 was seen to use 42.
	maxRuns64 = 42
)

// tableBase64: bits 0-11 of CR3 are flags or the PCID, bit 63 says not to flush,
// bits 12-51 are the address (Intel SDM vol. 3, 4.5 and 4.10.4.1).
func tableBase64(h *Header) uint64 {
	return h.DirectoryTableBase & ((physmem.MaxPFN - 1) * physmem.PageSize)
}

// run64 is PHYSICAL_MEMORY_RUN64: pages that follow each other in guest-physical
// memory.
type run64 struct {
	BasePage  uint64 // page frame number of the first page
	PageCount uint64 // pages
}

// descriptor64 is PHYSICAL_MEMORY_DESCRIPTOR64 with all the runs that the header
// has room for. In a full dump it is also the layout of the file: the pages of
// Run[0], Run[1] and so on stand back to back behind the header.
type descriptor64 struct {
	NumberOfRuns    uint32 // used entries of Run
	NumberOfRunsPad uint32 // alignment; 'PAGE' in Windows' dumps, 0 in QEMU's
	NumberOfPages   uint64 // sum of PageCount over the used runs
	Run             [maxRuns64]run64
}

// exception64 is EXCEPTION_RECORD64 (winnt.h), 0x98 bytes.
type exception64 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint64 // VA of the record before this one, or 0
	ExceptionAddress     uint64 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	UnusedAlignment      uint32
	ExceptionInformation [15]uint64
}

// header64 is DUMP_HEADER64 (Microsoft mindumpdef.h), the first 0x2000 bytes of a
// 64-bit kernel dump, in the order of the file. Every byte has a field, so that
// decoding and encoding changes nothing. Fields with a meaning are those of Header.
type header64 struct {
	Signature           uint32
	ValidDump           uint32
	MajorVersion        uint32
	MinorVersion        uint32
	DirectoryTableBase  uint64 // PA in bits 12-51
	PfnDataBase         uint64
	PsLoadedModuleList  uint64
	PsActiveProcessHead uint64
	MachineImageType    uint32
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckCodePad     uint32 // alignment
	BugCheckParameters  [4]uint64
	VersionUser         [32]byte // no reader uses it
	KdDebuggerDataBlock uint64

	descriptor64
	RunTail [12]byte // the last, incomplete run of the 700 bytes
	Pad344  [4]byte

	Context     [3000]byte // of the processor that the debugger shows first
	Exception   exception64
	DumpType    DumpType
	DumpTypePad [4]byte // alignment; QEMU calls it unused1 and zeroes it

	RequiredDumpSpace  uint64
	SystemTime         uint64
	Comment            [128]byte // ASCII, ended by NUL, see Header.CommentText
	SystemUpTime       uint64
	MiniDumpFields     uint32 // what a triage dump holds
	SecondaryDataState uint32
	ProductType        uint32
	SuiteMask          uint32
	WriterStatus       uint32
	Unused1            uint8
	KdSecondaryVersion uint8
	Unused             [2]byte
	Attributes         uint32
	BootID             uint32
	Reserved           [4008]byte
}

// The sizes in the file are the sizes in memory: no field order leaves room for
// padding. A constant index outside [1]byte does not compile.
var (
	_ = [1]byte{}[unsafe.Sizeof(header64{})-0x2000]
	_ = [1]byte{}[unsafe.Sizeof(descriptor64{})-688]
	_ = [1]byte{}[unsafe.Sizeof(exception64{})-0x98]
)

// triage64 is what a triage dump has behind a 64-bit header.
var triage64 = &TriageFormat{
	Record: fields.Of[triageDump64](), MM: fields.Of[triageMM64](), MMChecked: true, Mapped: 0x4ff,
	UnloadedHead: fields.Of[unloadedHead64](), Unloaded: fields.Of[unloadedDriver64](), Driver: fields.Of[driverEntry64](),
	Prcb: 0xfffff780_ffff0000,
}

// triageDump64 is TRIAGE_DUMP64 (Microsoft mindumpdef.h; Ghidra and rizin read the
// same). Offsets are in bytes from the start of the file.
type triageDump64 struct {
	ServicePackBuild      uint32
	SizeOfDump            uint32
	ValidOffset           uint32
	ContextOffset         uint32
	ExceptionOffset       uint32
	MmOffset              uint32
	UnloadedDriversOffset uint32
	PrcbOffset            uint32
	ProcessOffset         uint32
	ThreadOffset          uint32
	CallStackOffset       uint32
	SizeOfCallStack       uint32
	DriverListOffset      uint32
	DriverCount           uint32
	StringPoolOffset      uint32
	StringPoolSize        uint32
	BrokenDriverOffset    uint32
	TriageOptions         uint32
	TopOfStack            uint64
	BStoreOffset          uint32 // of the IA64, as the next two
	SizeOfBStore          uint32
	LimitOfBStore         uint64
	DataPageAddress       uint64
	DataPageOffset        uint32
	DataPageSize          uint32
	DebuggerDataOffset    uint32
	DebuggerDataSize      uint32
	DataBlocksOffset      uint32
	DataBlocksCount       uint32
}

// triageMM64 is DUMP_MM_STORAGE64: what the memory manager says in numbers.
type triageMM64 struct {
	Version               uint32
	Size                  uint32
	SpecialPoolTag        uint32
	TriageActionTaken     uint32
	VerifyDriverLevel     uint32
	KernelVerifier        uint32
	MaximumNonPagedPool   uint64
	AllocatedNonPagedPool uint64
	PagedPoolMaximum      uint64
	PagedPoolAllocated    uint64
	CommittedPages        uint64
	CommittedPagesPeak    uint64
	CommitLimitMaximum    uint64
}

// unloadedHead64 stands before the unloaded drivers.
type unloadedHead64 struct {
	Count uint64
}

// unloadedDriver64 is DUMP_UNLOADED_DRIVERS64.
type unloadedDriver64 struct {
	Length        uint16 // of the name in bytes, this and the next three are UNICODE_STRING64
	MaximumLength uint16
	LengthPad     uint32
	Buffer        uint64
	DriverName    [unloadedNameUnits]uint16
	StartAddress  uint64
	EndAddress    uint64
}

// driverEntry64 is DUMP_DRIVER_ENTRY64: where the name is, and from 8 on
// KLDR_DATA_TABLE_ENTRY up to its member PatchInformation.
type driverEntry64 struct {
	NameOffset         uint32
	NameOffsetPad      uint32
	InLoadOrderLinks   [2]uint64
	ExceptionTable     uint64
	ExceptionTableSize uint64 // 32 bits and their padding
	GpValue            uint64
	NonPagedDebugInfo  uint64
	DllBase            uint64
	EntryPoint         uint64
	SizeOfImage        uint32
	SizeOfImagePad     uint32
	FullDllName        [2]uint64
	BaseDllName        [2]uint64
	Flags              uint32
	LoadCount          uint32
	SectionPointer     uint64
	CheckSum           uint32
	CheckSumPad        uint32
	TimeDateStamp      uint32 // over LoadedImports
	LoadedImportsPad   uint32
}

var (
	_ = [1]byte{}[unsafe.Sizeof(triageDump64{})-0x80]
	_ = [1]byte{}[unsafe.Sizeof(triageMM64{})-0x50]
	_ = [1]byte{}[unsafe.Sizeof(unloadedDriver64{})-56]
	_ = [1]byte{}[unsafe.Sizeof(driverEntry64{})-0x90]
)
