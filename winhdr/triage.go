package winhdr

import (
	"fmt"
	"reflect"
)

// A triage dump, DumpType 4, is what Windows calls a small memory dump: behind the
// header stand TRIAGE_DUMP, which says where the rest is, one processor's KPRCB, the
// current process, thread and stack, KDDEBUGGER_DATA64, the list of drivers, and
// pieces of memory by their virtual addresses. Sources: Microsoft mindumpdef.h,
// Ghidra and rizin for the structures; 72 dumps that Windows wrote, and what
// Microsoft's debugger engine 10.0.10240 writes and opens, for their use.

// TriageFormat is what a machine's triage dumps have behind the header, each as the
// file has it. Fields are found by name, those of the values below; what a structure
// does not have reads as 0 and is not written.
type TriageFormat struct {
	// Record is TRIAGE_DUMP, which stands behind the header; see [TriageRecord].
	Record *Wire
	// MM is DUMP_MM_STORAGE; see [TriageMM]. MMChecked says that debuggers reject a
	// dump with one that is not inside the file.
	MM        *Wire
	MMChecked bool
	// UnloadedHead stands before the unloaded drivers, with their Count. Unloaded is
	// an entry, with Length, MaximumLength, DriverName, StartAddress and EndAddress.
	UnloadedHead, Unloaded *Wire
	// Driver is an entry of the list of drivers, with NameOffset; see
	// [TriageDriver].
	Driver *Wire
	// Mapped are the MiniDumpFields without all of which debuggers map nothing; 0
	// where they don't ask.
	Mapped uint32
	// Prcb is the VA at which debuggers have the KPRCB: the dump does not say where it
	// was (observed with the engine).
	Prcb uint64
}

const (
	// SignatureTRGD is "TRGD", the last four bytes before SizeOfDump, without
	// which the engine does not open a triage dump.
	SignatureTRGD uint32 = 0x44475254
	// TriageFields are the MiniDumpFields that Windows sets when it crashes: 0x100
	// stands for TriageMM, 0x200 for a data page, 0x800 for data blocks; see
	// TriageFormat.Mapped.
	TriageFields uint32 = 0xcff
	// TriageHasBlocks is the bit of data blocks.
	TriageHasBlocks uint32 = 0x800
	// TriageOptionsAll are the TriageOptions that Windows sets when it crashes.
	TriageOptionsAll uint32 = 0xffffffff

	// unloadedNameUnits is how many UTF-16 units of an unloaded driver's name
	// there is room for.
	unloadedNameUnits = 12
	// triageAlign is what parts begin at a multiple of, in bytes.
	triageAlign = 8
	// triageMMVersion is TriageMM's Version in every dump seen.
	triageMMVersion = 1
)

// TriageRecord is TRIAGE_DUMP. What is called an offset counts bytes from the start
// of the file. Nothing in it is judged. Addresses of a 32-bit machine are not
// sign-extended.
type TriageRecord struct {
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

// TriageMM is DUMP_MM_STORAGE: what the memory manager says in numbers.
type TriageMM struct {
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

// TriageDriver is a loaded image in a triage dump. In dumps that Windows writes when
// it crashes the name is the full path, and there is no entry point.
type TriageDriver struct {
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

// TriageUnloaded is a driver that was unloaded.
type TriageUnloaded struct {
	Name                     string // at most 12 UTF-16 units are kept
	StartAddress, EndAddress uint64 // VA
}

// TriageBlock is a piece of memory in a triage dump.
type TriageBlock struct {
	Address uint64 // VA of the first byte, not sign-extended
	Data    []byte
}

// triageBlockEntry is an entry of the table of data blocks, the same on every
// machine: TRIAGE_DATA_BLOCK.
type triageBlockEntry struct {
	Address uint64 // VA, sign-extended
	Offset  uint32 // of the data, from the start of the file
	Size    uint32 // bytes
}

// TriagePart is a stretch of a triage dump's file.
type TriagePart struct {
	Offset, Size uint32 // bytes from the start of the file, bytes
}

// TriageSpan is a piece of memory that the table of data blocks lists.
type TriageSpan struct {
	Address uint64 // VA, not sign-extended
	// Lost is set where the address in the file is none that the machine has, as one
	// of 32 bits that is not sign-extended: debuggers do not find it.
	Lost bool
	TriagePart
}

var blockWire = WireOf[triageBlockEntry]()

// A TriageError says what is wrong with a part of a triage dump.
type TriageError struct {
	Part   string // in words
	Offset uint64 // bytes from the start of the file, where it was to be
	Reason string
}

// Error names the part, the offset and the reason.
func (e *TriageError) Error() string {
	return fmt.Sprintf("%s at file offset 0x%x: %s", e.Part, e.Offset, e.Reason)
}

// signExtend is an address of the machine as 64 bits hold it.
func (f *Format) signExtend(address uint64) uint64 {
	unused := 64 - 8*f.PointerSize
	return uint64(int64(address<<unused) >> unused) //nolint:gosec // the sign is wanted
}

// pointer is the inverse: the bits of an address that the machine's pointers have.
func (f *Format) pointer(address uint64) uint64 {
	unused := 64 - 8*f.PointerSize
	return address << unused >> unused
}

// loadNumbers sets the fields of the structure that v points to, all of them
// numbers, from those of the same names in b. What w does not have stays as it is.
func (w *Wire) loadNumbers(b []byte, v any) {
	to := reflect.ValueOf(v).Elem()
	for i := range to.NumField() {
		if part, ok := w.Field(to.Type().Field(i).Name); ok {
			to.Field(i).SetUint(part.load(b, 0))
		}
	}
}

// storeNumbers is the inverse. What the structure does not have is left alone.
func (w *Wire) storeNumbers(b []byte, v any) {
	from := reflect.ValueOf(v).Elem()
	for i := range from.NumField() {
		if from.Field(i).CanUint() {
			w.store(b, from.Type().Field(i).Name, from.Field(i).Uint())
		}
	}
}
