package winhdr

import "unsafe"

// Sizes and counts of the 32-bit dump header.
const (
	// Size32 is the size of DUMP_HEADER32 in bytes (Microsoft mindumpdef.h,
	// WDK). The first byte after it is the first page of a full dump.
	Size32 = 0x1000
	// MaxRuns32 is how many runs a 32-bit header has room for: 8 of the 700
	// bytes are the two counts, the others hold 86 whole runs of 8 bytes
	// (mindumpdef.h, DMP_PHYSICAL_MEMORY_BLOCK_SIZE_32; QEMU's
	// win_dump_defs.h counts as many).
	MaxRuns32 = 86
	// MaxPFN32 is the first page frame number that a run may not hold: page
	// numbers and their sum have 32 bits. What a processor with PAE can
	// address is less (Intel SDM vol. 3, 4.1.4) and not known here.
	MaxPFN32 = 1<<32 - 1
)

// PhysicalMemoryRun32 is PHYSICAL_MEMORY_RUN32: pages that follow each other in
// guest-physical memory.
type PhysicalMemoryRun32 struct {
	BasePage  uint32 // page frame number of the first page
	PageCount uint32 // pages
}

// PhysicalMemoryDescriptor32 is PHYSICAL_MEMORY_DESCRIPTOR32 with all the runs
// that the header has room for. In a full dump it is also the layout of the
// file: the pages of Run[0], Run[1] and so on stand back to back from Size32
// on.
type PhysicalMemoryDescriptor32 struct {
	NumberOfRuns  uint32 // used entries of Run, at most MaxRuns32
	NumberOfPages uint32 // sum of PageCount over the used runs
	Run           [MaxRuns32]PhysicalMemoryRun32
}

// ExceptionRecord32 is EXCEPTION_RECORD32 (winnt.h), 0x50 bytes.
type ExceptionRecord32 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint32 // VA of the record before this one, or 0
	ExceptionAddress     uint32 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	ExceptionInformation [15]uint32
}

// Header32 is DUMP_HEADER32 (Microsoft mindumpdef.h), the first 0x1000 bytes of
// a kernel dump of 32-bit x86 Windows, in the order of the file, little-endian.
// Every byte has a field, so that decoding and encoding changes nothing. "VA"
// is a kernel virtual address, "PA" a guest-physical one. The order is not that
// of Header64: Comment stands before DumpType, SystemUpTime before SystemTime.
type Header32 struct {
	Signature           uint32 // SignaturePAGE
	ValidDump           uint32 // ValidDumpDUMP
	MajorVersion        uint32 // 0xf free build, 0xc checked build
	MinorVersion        uint32 // build number, such as 7601
	DirectoryTableBase  uint32 // CR3 of the System process; PA, with PAE of 32 bytes' alignment
	PfnDataBase         uint32 // VA of the variable nt!MmPfnDatabase
	PsLoadedModuleList  uint32 // VA of the list head
	PsActiveProcessHead uint32 // VA of the list head
	MachineImageType    uint32 // MachineI386
	NumberProcessors    uint32
	BugCheckCode        uint32
	BugCheckParameters  [4]uint32
	VersionUser         [32]byte // no reader uses it
	PaeEnabled          uint8    // 1: page-table entries have 64 bits
	KdSecondaryVersion  uint8    // since Server 2003 SP1
	Spare               [2]byte
	KdDebuggerDataBlock uint32 // VA of KDDEBUGGER_DATA64, which 32-bit kernels have too

	PhysicalMemory     PhysicalMemoryDescriptor32
	PhysicalMemoryTail [4]byte // the last, incomplete run of the 700 bytes

	Context     Context32 // of the processor that the debugger shows first
	ContextTail [484]byte // Microsoft reserves 1200 bytes for Context
	Exception   ExceptionRecord32
	Comment     [128]byte // ASCII, ended by NUL, see Header.CommentText
	Attributes  uint32
	BootID      uint32
	Reserved0   [1760]byte

	DumpType           DumpType
	MiniDumpFields     uint32 // what a triage dump holds
	SecondaryDataState uint32
	ProductType        uint32 // 1 workstation, 2 domain controller, 3 server
	SuiteMask          uint32
	WriterStatus       uint32 // 0: no trouble while writing
	RequiredDumpSpace  uint64 // bytes of the whole file; QEMU writes the lower 32 bits only
	Reserved2          [16]byte
	SystemUpTime       uint64 // 100 ns units
	SystemTime         uint64 // FILETIME, see Time
	Reserved3          [56]byte
}

// As in header64.go.
var (
	_ = [1]byte{}[unsafe.Sizeof(Header32{})-Size32]
	_ = [1]byte{}[unsafe.Sizeof(PhysicalMemoryDescriptor32{})-696]
	_ = [1]byte{}[unsafe.Sizeof(ExceptionRecord32{})-0x50]
)

// Decode32 decodes b, which must hold Size32 bytes: less or more is a
// *SizeError. Nothing else is judged, see Check.
func Decode32(b []byte) (*Header32, error) {
	return decode[Header32]("32-bit dump header", b, Size32)
}

// Encode returns the Size32 bytes of h. Of a decoded header these are the bytes
// that it was decoded from, but for fields set since.
func (h *Header32) Encode() []byte {
	return encode(h, Size32)
}

var layout32 = tableLayout{
	offsetCount:    unsafe.Offsetof(Header32{}.PhysicalMemory) + unsafe.Offsetof(PhysicalMemoryDescriptor32{}.NumberOfRuns),
	offsetPages:    unsafe.Offsetof(Header32{}.PhysicalMemory) + unsafe.Offsetof(PhysicalMemoryDescriptor32{}.NumberOfPages),
	offsetRun:      unsafe.Offsetof(Header32{}.PhysicalMemory) + unsafe.Offsetof(PhysicalMemoryDescriptor32{}.Run),
	sizeRun:        unsafe.Sizeof(PhysicalMemoryRun32{}),
	offsetBasePage: unsafe.Offsetof(PhysicalMemoryRun32{}.BasePage),
	offsetPageCnt:  unsafe.Offsetof(PhysicalMemoryRun32{}.PageCount),
	maxPFN:         MaxPFN32,
	because:        "page frame numbers having 32 bits",
}

func (h *Header32) runTable() runTable {
	m := &h.PhysicalMemory
	runs := make([]PhysicalMemoryRun64, MaxRuns32)
	for i, run := range &m.Run {
		runs[i] = PhysicalMemoryRun64{uint64(run.BasePage), uint64(run.PageCount)}
	}
	return runTable{m.NumberOfRuns, uint64(m.NumberOfPages), runs, &layout32}
}

// Runs returns the run table as it can be used, in the form of the 64-bit header,
// by the rules of [Header64.Runs] with MaxRuns32 and MaxPFN32.
func (h *Header32) Runs() ([]PhysicalMemoryRun64, []Problem) {
	return h.runTable().usable()
}

// SetRuns replaces the run table, as [Header64.SetRuns] does.
func (h *Header32) SetRuns(runs []PhysicalMemoryRun64) error {
	if err := h.runTable().fits(runs); err != nil {
		return err
	}
	m := &h.PhysicalMemory
	for i := len(runs); i < int(min(m.NumberOfRuns, MaxRuns32)); i++ {
		m.Run[i] = PhysicalMemoryRun32{}
	}
	for i, run := range runs {
		m.Run[i] = PhysicalMemoryRun32{narrow(run.BasePage), narrow(run.PageCount)}
	}
	m.NumberOfRuns, m.NumberOfPages = uint32(len(runs)), narrow(sumPages(runs)) //nolint:gosec // at most MaxRuns32
	return nil
}

// narrow is a number of pages, which fits has held against MaxPFN32.
func narrow(v uint64) uint32 { return uint32(v) } //nolint:gosec // at most MaxPFN32
