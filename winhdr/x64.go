package winhdr

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Sizes and counts of the 64-bit dump header.
const (
	// Size64 is the size of DUMP_HEADER64 in bytes (Microsoft mindumpdef.h,
	// WDK). The first byte after it is the first page of a full dump.
	Size64 = 0x2000
	// PageSize is the unit of every page count here, in bytes.
	PageSize = 0x1000
	// MaxRuns64 is how many runs a 64-bit header has room for. Microsoft
	// reserves 700 bytes for the descriptor (mindumpdef.h, DMP_PHYSICAL_-
	// MEMORY_BLOCK_SIZE_64): 16 for the two counts, 684 for runs of 16 bytes
	// each, so 42 whole ones. QEMU's win_dump_defs.h declares 43, because it
	// takes the four alignment bytes behind the block for a part of it;
	// Microsoft's debugger engine 10.0.10240 was seen to use 42.
	MaxRuns64 = 42
	// MaxPFN is the first page frame number that no x64 processor can
	// address: physical addresses have at most 52 bits (Intel SDM vol. 3,
	// 4.1.4, MAXPHYADDR), page frame numbers therefore at most 40.
	MaxPFN = 1 << (52 - 12)
)

// Signatures, read as little-endian 32-bit numbers.
const (
	// SignaturePAGE is "PAGE", the first four bytes of every kernel dump.
	SignaturePAGE uint32 = 0x45474150
	// ValidDumpDU64 is "DU64", the second four bytes of a 64-bit dump.
	ValidDumpDU64 uint32 = 0x34365544
	// ValidDumpDUMP is "DUMP", the second four bytes of a 32-bit dump.
	ValidDumpDUMP uint32 = 0x504d5544
	// Fill is the pattern with which Windows fills a header before it sets
	// fields, so that a field still equal to it was never set. It is the
	// same number as SignaturePAGE.
	Fill = SignaturePAGE
	// Fill64 is Fill seen by a 64-bit field.
	Fill64 = uint64(Fill)<<32 | uint64(Fill)
)

// Values of Header64.MachineImageType (IMAGE_FILE_MACHINE_* of the PE format).
const (
	// MachineI386 is 32-bit x86.
	MachineI386 = 0x014c
	// MachineAMD64 is x64.
	MachineAMD64 = 0x8664
	// MachineARM64 is 64-bit Arm.
	MachineARM64 = 0xaa64
)

const (
	// BugCheckLiveSystemDump is LIVE_SYSTEM_DUMP (Microsoft, Bug Check Code
	// Reference), the code of a dump of a system that did not crash. QEMU
	// writes it too (dump/win_dump.c).
	BugCheckLiveSystemDump = 0x161
	// StatusBreakpoint is STATUS_BREAKPOINT (ntstatus.h), the exception code
	// in the header of a bug check dump. Microsoft's debugger engine
	// complains about any other.
	StatusBreakpoint uint32 = 0x80000003
)

// PhysicalMemoryRun64 is PHYSICAL_MEMORY_RUN64: pages that follow each other in
// guest-physical memory.
type PhysicalMemoryRun64 struct {
	BasePage  uint64 // page frame number of the first page
	PageCount uint64 // pages
}

// PhysicalMemoryDescriptor64 is PHYSICAL_MEMORY_DESCRIPTOR64 with all the runs
// that the header has room for. In a full dump it is also the layout of the
// file: the pages of Run[0], Run[1] and so on stand back to back from Size64
// on.
type PhysicalMemoryDescriptor64 struct {
	NumberOfRuns  uint32 // used entries of Run, at most MaxRuns64
	Unused        uint32 // alignment; 'PAGE' in Windows' dumps, 0 in QEMU's
	NumberOfPages uint64 // sum of PageCount over the used runs
	Run           [MaxRuns64]PhysicalMemoryRun64
}

// ExceptionRecord64 is EXCEPTION_RECORD64 (winnt.h), 0x98 bytes.
type ExceptionRecord64 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint64 // VA of the record before this one, or 0
	ExceptionAddress     uint64 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	UnusedAlignment      uint32
	ExceptionInformation [15]uint64
}

// Header64 is DUMP_HEADER64 (Microsoft mindumpdef.h), the first 0x2000 bytes of
// an x64 kernel dump, in the order of the file, little-endian. Every byte has a
// field, so that decoding and encoding changes nothing. "VA" is a kernel
// virtual address, "PA" a guest-physical one.
type Header64 struct {
	Signature           uint32 // SignaturePAGE
	ValidDump           uint32 // ValidDumpDU64
	MajorVersion        uint32 // 0xf free build, 0xc checked build
	MinorVersion        uint32 // build number, such as 19041
	DirectoryTableBase  uint64 // CR3 of the System process; PA in bits 12-51
	PfnDataBase         uint64 // VA of the variable nt!MmPfnDatabase (its value since build 26100)
	PsLoadedModuleList  uint64 // VA of the list head
	PsActiveProcessHead uint64 // VA of the list head
	MachineImageType    uint32 // MachineAMD64
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckCodePad     uint32 // alignment
	BugCheckParameters  [4]uint64
	VersionUser         [32]byte // no reader uses it
	KdDebuggerDataBlock uint64   // VA of KDDEBUGGER_DATA64

	PhysicalMemory     PhysicalMemoryDescriptor64
	PhysicalMemoryTail [12]byte // the last, incomplete run of the 700 bytes
	Pad344             [4]byte

	Context     Context64  // of the processor that the debugger shows first
	ContextTail [1768]byte // Microsoft reserves 3000 bytes for Context
	Exception   ExceptionRecord64
	DumpType    DumpType
	PadF9C      [4]byte // alignment; QEMU calls it unused1 and zeroes it

	RequiredDumpSpace  uint64    // bytes of the whole file
	SystemTime         uint64    // FILETIME, see Time
	Comment            [128]byte // ASCII, ended by NUL, see Header.CommentText
	SystemUpTime       uint64    // 100 ns units
	MiniDumpFields     uint32    // what a triage dump holds
	SecondaryDataState uint32
	ProductType        uint32 // 1 workstation, 2 domain controller, 3 server
	SuiteMask          uint32
	WriterStatus       uint32 // 0: no trouble while writing
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
	_ = [1]byte{}[unsafe.Sizeof(Header64{})-Size64]
	_ = [1]byte{}[unsafe.Sizeof(PhysicalMemoryDescriptor64{})-688]
	_ = [1]byte{}[unsafe.Sizeof(ExceptionRecord64{})-0x98]
)

// SizeError says that a buffer does not have the size of the structure that it
// should hold.
type SizeError struct {
	Structure string
	Got, Want int // bytes
}

// Error names the structure and both sizes.
func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: got 0x%x bytes, want 0x%x", e.Structure, e.Got, e.Want)
}

// Decode64 decodes b, which must hold Size64 bytes: less or more is a
// *SizeError. Nothing else is judged, see Check.
func Decode64(b []byte) (*Header64, error) {
	return decode[Header64]("dump header", b, Size64)
}

// Encode returns the Size64 bytes of h. Of a decoded header these are the bytes
// that it was decoded from, but for fields set since.
func (h *Header64) Encode() []byte {
	return encode(h, Size64)
}

// PageFill fills b with Fill, beginning with 'P', as Windows does with a header
// before it sets fields.
func PageFill(b []byte) {
	for i := range b {
		b[i] = "PAGE"[i%4]
	}
}

func decode[T any](structure string, b []byte, size int) (*T, error) {
	if len(b) != size {
		return nil, &SizeError{Structure: structure, Got: len(b), Want: size}
	}
	v := new(T)
	// The only errors are a short buffer, excluded above, and a type of
	// variable size, excluded by a test.
	_, _ = binary.Decode(b, binary.LittleEndian, v)
	return v, nil
}

func encode(v any, size int) []byte {
	b := make([]byte, size)
	_, _ = binary.Encode(b, binary.LittleEndian, v) // as in decode
	return b
}
