package winhdr

import (
	"unsafe"

	"windmp/winhdr/fields"
	"windmp/winhdr/wincontext"
)

// X86 is the 32-bit dump header, DUMP_HEADER32, with the x86 CONTEXT.
var X86 = &Format{
	Name: "x86", Title: "32-bit x86", Qualifier: "32-bit",
	Machine: wincontext.MachineI386, ValidDump: ValidDumpDUMP,
	Header: fields.Of[header32](),
	// Through SystemTime: Windows fills the rest with 'PAGE'.
	LeastSize: int(unsafe.Offsetof(header32{}.Reserved3)),
	// RTL_BITMAP has a pointer of 4 bytes, and no padding (Ghidra).
	SummarySize: SummaryDumpSize64 - 8,
	Triage:      triage32,
	// A KAFFINITY has a bit for each (Microsoft wdm.h, MAXIMUM_PROCESSORS).
	MaxProcessors: 32,
	// Windows 2000, the first whose header has KdDebuggerDataBlock.
	MinBuild: 2195,
	PFNLimit: pfnLimit32, PFNReason: "page frame numbers having 32 bits",
	PointerSize: 4,
	KernelStart: uint64(wincontext.KernelStart32),
	TableBase:   tableBase32,
	Registers:   fields.Of[wincontext.Context32](), DecodeContext: decoder(wincontext.DecodeContext32),
}

const (
	// maxRuns32 is how many runs a 32-bit header has room for: 8 of the 700
	// bytes are the two counts, the others hold 86 whole runs of 8 bytes
	// (mindumpdef.h, DMP_PHYSICAL_MEMORY_BLOCK_SIZE_32; QEMU's
	// win_dump_defs.h counts as many).
	maxRuns32 = 86
	// pfnLimit32: page numbers and their sum have 32 bits. What a processor with
	// PAE can address is less (Intel SDM vol. 3, 4.1.4) and not known here.
	pfnLimit32 = 1<<32 - 1
)

// tableBase32: with PAE bits 5-31 of CR3 are the address, otherwise bits 12-31;
// the others are flags or ignored (Intel SDM vol. 3, 4.3 and 4.4.1). A PaeEnabled
// that is neither says nothing: the weaker rule holds.
func tableBase32(h *Header) uint64 {
	if h.PaeEnabled == 0 {
		return h.DirectoryTableBase &^ 0xfff
	}
	return h.DirectoryTableBase &^ 0x1f
}

// run32 is PHYSICAL_MEMORY_RUN32: pages that follow each other in guest-physical
// memory.
type run32 struct {
	BasePage  uint32 // page frame number of the first page
	PageCount uint32 // pages
}

// descriptor32 is PHYSICAL_MEMORY_DESCRIPTOR32 with all the runs that the header
// has room for.
type descriptor32 struct {
	NumberOfRuns  uint32 // used entries of Run
	NumberOfPages uint32 // sum of PageCount over the used runs
	Run           [maxRuns32]run32
}

// exception32 is EXCEPTION_RECORD32 (winnt.h), 0x50 bytes.
type exception32 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint32 // VA of the record before this one, or 0
	ExceptionAddress     uint32 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	ExceptionInformation [15]uint32
}

// header32 is DUMP_HEADER32 (Microsoft mindumpdef.h), the first 0x1000 bytes of a
// kernel dump of 32-bit x86 Windows, in the order of the file. Every byte has a
// field, so that decoding and encoding changes nothing. Fields with a meaning are
// those of Header. The order is not that of header64: Comment stands before
// DumpType, SystemUpTime before SystemTime.
type header32 struct {
	Signature           uint32
	ValidDump           uint32
	MajorVersion        uint32
	MinorVersion        uint32
	DirectoryTableBase  uint32 // PA, with PAE of 32 bytes' alignment
	PfnDataBase         uint32
	PsLoadedModuleList  uint32
	PsActiveProcessHead uint32
	MachineImageType    uint32
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckParameters  [4]uint32
	VersionUser         [32]byte // no reader uses it
	PaeEnabled          uint8
	KdSecondaryVersion  uint8 // since Server 2003 SP1
	Spare               [2]byte
	KdDebuggerDataBlock uint32

	descriptor32
	RunTail [4]byte // the last, incomplete run of the 700 bytes

	Context    [1200]byte // of the processor that the debugger shows first
	Exception  exception32
	Comment    [128]byte // ASCII, ended by NUL, see Header.CommentText
	Attributes uint32
	BootID     uint32
	Reserved0  [1760]byte

	DumpType           DumpType
	MiniDumpFields     uint32 // what a triage dump holds
	SecondaryDataState uint32
	ProductType        uint32
	SuiteMask          uint32
	WriterStatus       uint32
	RequiredDumpSpace  uint64 // QEMU writes the lower 32 bits only
	Reserved2          [16]byte
	SystemUpTime       uint64
	SystemTime         uint64
	Reserved3          [56]byte
}

// As in x64.go.
var (
	_ = [1]byte{}[unsafe.Sizeof(header32{})-0x1000]
	_ = [1]byte{}[unsafe.Sizeof(descriptor32{})-696]
	_ = [1]byte{}[unsafe.Sizeof(exception32{})-0x50]
)

// triage32 is what a triage dump has behind a 32-bit header.
var triage32 = &TriageFormat{
	Record: fields.Of[triageDump32](), MM: fields.Of[triageMM32](),
	UnloadedHead: fields.Of[unloadedHead32](), Unloaded: fields.Of[unloadedDriver32](), Driver: fields.Of[driverEntry32](),
	Prcb: 0xffdff120,
}

// triageDump32 is TRIAGE_DUMP32; see triageDump64.
type triageDump32 struct {
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
	TopOfStack            uint32
	DataPageAddress       uint32
	DataPageOffset        uint32
	DataPageSize          uint32
	DebuggerDataOffset    uint32
	DebuggerDataSize      uint32
	DataBlocksOffset      uint32
	DataBlocksCount       uint32
}

// triageMM32 is DUMP_MM_STORAGE32; see triageMM64.
type triageMM32 struct {
	Version               uint32
	Size                  uint32
	SpecialPoolTag        uint32
	TriageActionTaken     uint32
	VerifyDriverLevel     uint32
	KernelVerifier        uint32
	MaximumNonPagedPool   uint32
	AllocatedNonPagedPool uint32
	PagedPoolMaximum      uint32
	PagedPoolAllocated    uint32
	CommittedPages        uint32
	CommittedPagesPeak    uint32
	CommitLimitMaximum    uint32
}

// unloadedHead32 stands before the unloaded drivers.
type unloadedHead32 struct {
	Count    uint32
	CountPad uint32
}

// unloadedDriver32 is DUMP_UNLOADED_DRIVERS32.
type unloadedDriver32 struct {
	Length        uint16 // of the name in bytes, this and the next two are UNICODE_STRING32
	MaximumLength uint16
	Buffer        uint32
	DriverName    [unloadedNameUnits]uint16
	StartAddress  uint32
	EndAddress    uint32
}

// driverEntry32 is DUMP_DRIVER_ENTRY32; see driverEntry64.
type driverEntry32 struct {
	NameOffset         uint32
	InLoadOrderLinks   [2]uint32
	ExceptionTable     uint32
	ExceptionTableSize uint32
	GpValue            uint32
	NonPagedDebugInfo  uint32
	DllBase            uint32
	EntryPoint         uint32
	SizeOfImage        uint32
	FullDllName        [2]uint32
	BaseDllName        [2]uint32
	Flags              uint32
	LoadCount          uint32
	SectionPointer     uint32
	CheckSum           uint32
	TimeDateStamp      uint32 // over LoadedImports
}

var (
	_ = [1]byte{}[unsafe.Sizeof(triageDump32{})-0x68]
	_ = [1]byte{}[unsafe.Sizeof(triageMM32{})-0x34]
	_ = [1]byte{}[unsafe.Sizeof(unloadedDriver32{})-40]
	_ = [1]byte{}[unsafe.Sizeof(driverEntry32{})-0x4c]
)
