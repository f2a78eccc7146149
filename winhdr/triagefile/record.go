package triagefile

import (
	"fmt"

	"windmp/winhdr"
	"windmp/winhdr/fields"
)

const (
	// SignatureTRGD is "TRGD", the last four bytes before SizeOfDump, without
	// which the engine does not open a triage dump.
	SignatureTRGD uint32 = 0x44475254
	// OptionsAll are the TriageOptions that Windows sets when it crashes.
	OptionsAll uint32 = 0xffffffff

	// align is what parts begin at a multiple of, in bytes.
	align = 8
	// mmVersion is MM's Version in every dump seen.
	mmVersion = 1
)

// Record is TRIAGE_DUMP. What is called an offset counts bytes from the start
// of the file. Nothing in it is judged. Addresses of a 32-bit machine are not
// sign-extended.
type Record struct {
	ServicePackBuild      uint32
	SizeOfDump            uint32 // bytes up to and with "TRGD"; secondary data follow
	ValidOffset           uint32 // of "TRGD"; not read by the engine
	ContextOffset         uint32 // of the header's CONTEXT; must not be 0
	ExceptionOffset       uint32 // of the header's exception record; must not be 0
	MmOffset              uint32 // of DUMP_MM_STORAGE, 0 for none
	UnloadedDriversOffset uint32 // 0 for none
	PrcbOffset            uint32 // KDBG.SizePrcb bytes
	ProcessOffset         uint32 // KDBG.SizeEProcess bytes
	ThreadOffset          uint32 // KDBG.SizeEThread bytes
	CallStackOffset       uint32
	SizeOfCallStack       uint32 // bytes
	DriverListOffset      uint32
	DriverCount           uint32
	StringPoolOffset      uint32 // not read by the engine
	StringPoolSize        uint32 // bytes
	BrokenDriverOffset    uint32 // 0 in every dump seen
	TriageOptions         uint32
	// TopOfStack is the VA of the stack's first byte: its lowest address, whatever
	// the name says.
	TopOfStack         uint64
	DataPageAddress    uint64 // 0 in every dump seen, as are the next two
	DataPageOffset     uint32
	DataPageSize       uint32
	DebuggerDataOffset uint32 // KDDEBUGGER_DATA64, decoded
	DebuggerDataSize   uint32
	DataBlocksOffset   uint32 // of their table
	DataBlocksCount    uint32
}

// MM is DUMP_MM_STORAGE: what the memory manager says in numbers.
type MM struct {
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

// Driver is a loaded image in a triage dump. In dumps that Windows writes when
// it crashes the name is the full path, and there is no entry point.
type Driver struct {
	Name          string
	DllBase       uint64 // VA
	EntryPoint    uint64 // VA
	SizeOfImage   uint32 // bytes
	CheckSum      uint32
	TimeDateStamp uint32
	// ExceptionTable is the VA of the image's exception directory as the loader noted it,
	// ExceptionTableSize its size in bytes; 0 in what Windows writes at a crash.
	ExceptionTable     uint64
	ExceptionTableSize uint64
}

// Unloaded is a driver that was unloaded.
type Unloaded struct {
	Name                     string // at most 12 UTF-16 units are kept
	StartAddress, EndAddress uint64 // VA
}

// Block is a piece of memory in a triage dump.
type Block struct {
	Address uint64 // VA of the first byte, not sign-extended
	Data    []byte
}

// blockEntry is an entry of the table of data blocks, the same on every
// machine: TRIAGE_DATA_BLOCK.
type blockEntry struct {
	Address uint64 // VA, sign-extended
	Offset  uint32 // of the data, from the start of the file
	Size    uint32 // bytes
}

// Part is a stretch of a triage dump's file.
type Part struct {
	Offset, Size uint32 // bytes from the start of the file, bytes
}

// Span is a piece of memory that the table of data blocks lists.
type Span struct {
	Address uint64 // VA, not sign-extended
	// Lost is set where the address in the file is none that the machine has, as one
	// of 32 bits that is not sign-extended: debuggers do not find it.
	Lost bool
	Part
}

var blockWire = fields.Of[blockEntry]()

// A Error says what is wrong with a part of a triage dump.
type Error struct {
	Part   string // in words
	Offset uint64 // bytes from the start of the file, where it was to be
	Reason string
}

// Error names the part, the offset and the reason.
func (e *Error) Error() string {
	return fmt.Sprintf("%s at file offset 0x%x: %s", e.Part, e.Offset, e.Reason)
}

// signExtend is an address of the machine as 64 bits hold it.
func signExtend(f *winhdr.Format, address uint64) uint64 {
	unused := 64 - 8*f.PointerSize
	return uint64(int64(address<<unused) >> unused) //nolint:gosec // the sign is wanted
}

// pointer is the inverse: the bits of an address that the machine's pointers have.
func pointer(f *winhdr.Format, address uint64) uint64 {
	unused := 64 - 8*f.PointerSize
	return address << unused >> unused
}
