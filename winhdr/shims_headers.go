package winhdr

import "windmp/physmem"

// PhysicalMemoryDescriptor64 is a shim.
type PhysicalMemoryDescriptor64 struct {
	NumberOfRuns  uint32 // used entries of Run, at most MaxRuns64
	Unused        uint32 // alignment; 'PAGE' in Windows' dumps, 0 in QEMU's
	NumberOfPages uint64 // sum of PageCount over the used runs
	Run           [MaxRuns64]PhysicalMemoryRun64
}

// ExceptionRecord64 is a shim.
type ExceptionRecord64 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint64 // VA of the record before this one, or 0
	ExceptionAddress     uint64 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	UnusedAlignment      uint32
	ExceptionInformation [15]uint64
}

// Header64 is a shim.
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

// PhysicalMemoryRun32 is a shim.
type PhysicalMemoryRun32 struct {
	BasePage  uint32 // page frame number of the first page
	PageCount uint32 // pages
}

// PhysicalMemoryDescriptor32 is a shim.
type PhysicalMemoryDescriptor32 struct {
	NumberOfRuns  uint32 // used entries of Run, at most MaxRuns32
	NumberOfPages uint32 // sum of PageCount over the used runs
	Run           [MaxRuns32]PhysicalMemoryRun32
}

// ExceptionRecord32 is a shim.
type ExceptionRecord32 struct {
	ExceptionCode        uint32 // NTSTATUS
	ExceptionFlags       uint32 // 1: not continuable
	ExceptionRecord      uint32 // VA of the record before this one, or 0
	ExceptionAddress     uint32 // VA
	NumberParameters     uint32 // used entries of ExceptionInformation
	ExceptionInformation [15]uint32
}

// Header32 is a shim.
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

// Decode64 is that of X64.
func Decode64(b []byte) (*Header64, error) { return decode[Header64]("dump header", b, Size64) }

// Encode is that of X64.
func (h *Header64) Encode() []byte { return encode(h, Size64) }

// Runs is that of X64.
func (h *Header64) Runs() (physmem.Runs, []Problem) {
	x, _ := X64.Decode(h.Encode())
	return x.Runs()
}

// Decode32 is that of X86.
func Decode32(b []byte) (*Header32, error) { return decode[Header32]("32-bit dump header", b, Size32) }

// Encode is that of X86.
func (h *Header32) Encode() []byte { return encode(h, Size32) }
