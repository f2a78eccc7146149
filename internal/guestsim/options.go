package guestsim

// Range is Size bytes of guest-physical memory from Start.
type Range struct{ Start, Size uint64 }

// End is the first address behind the range.
func (r Range) End() uint64 { return r.Start + r.Size }

func (r Range) contains(pa uint64) bool { return pa >= r.Start && pa-r.Start < r.Size }

// Options say what guest to build. The zero value is a healthy live Windows 10
// guest (build 19041) with one processor and a plain KDBG.
type Options struct {
	// CPUs is the number of processors, 0 means 1.
	CPUs int
	// Build is 9600, 19041 or 26100; 0 means 19041. It sets KDBG's values and
	// the offsets that follow from it.
	Build uint32
	// BugCheck is code and four parameters; a zero code is a live guest. A
	// crashed guest's CONTEXT buffers hold what Windows saved, a live one's are
	// zero.
	BugCheck [5]uint64

	// Encoded encodes KDBG in place with WaitNever and WaitAlways (0 means
	// constants of this package) and sets KdpDataBlockEncoded.
	Encoded               bool
	WaitNever, WaitAlways uint64
	// KDBGSize replaces the build's own size of KDBG, a multiple of 8.
	KDBGSize uint32
	// KDBGOffset is KDBG's offset in its page; 0 means where real dumps of the
	// build have it.
	KDBGOffset uint64

	// NumberProcessors makes the guest one of NT 5.2, where KUSER_SHARED_DATA counts no
	// processors: the value of KeNumberProcessors, which the kernel's image then
	// exports; 0 for a later one.
	NumberProcessors uint8

	// Odd lets KDBG, the bug check data, KiProcessorBlock, the Context pointers
	// and the CONTEXT buffers straddle pages.
	Odd bool
	// SoftwareBits sets bits 11 and 52-58 of each leaf entry, as Windows does.
	SoftwareBits bool
	// MapAll maps all RAM by 2 MiB pages from MapAllBase on.
	MapAll bool
	// NoSelfMap leaves out the PML4 entry that maps the page tables.
	NoSelfMap bool
	// LA57 builds five levels and sets CR4.LA57.
	LA57 bool
	// Shadow runs the vCPUs on a second root that maps only nt's first page, the
	// IDT, the code that IDT[0] leads to and the KPCRs, as KVA shadowing does.
	Shadow bool
	// StubOffset is the offset in KPCR that the entry stub reads the kernel's CR3
	// from; 0 means the build's.
	StubOffset uint32
	// LowStub writes a PROCESSOR_START_BLOCK into a page below 1 MiB.
	LowStub bool
	// PCID sets low bits in the header's DirectoryTableBase and the CR3s.
	PCID bool

	// UserMode lists processors that were stopped in ring 3.
	UserMode []int
	// VCPUOrder[i] is the Windows processor that vCPU i runs; nil means i.
	VCPUOrder []int
	// Modules come behind ntoskrnl.exe and hal.dll in the loader list.
	Modules []Module

	// VGA adds video memory that no run lists.
	VGA bool
	// RAM and Runs replace the guest's RAM blocks and the header's runs. Runs
	// must lie in RAM.
	RAM, Runs []Range
	// Seed varies where pages lie in physical memory.
	Seed uint64

	// File says how [Guest.ELF] wraps the guest.
	File FileOptions
}

// FileOptions are the oddities of a vmcore. The zero value is what QEMU 7.2
// writes with paging off.
type FileOptions struct {
	// Paging writes one PT_LOAD per mapping of the vCPUs' page tables, overlapping
	// and sorted by physical address. The memory part stays all of RAM.
	Paging bool
	// Begin and Length are dump-guest-memory's filter, Length 0 means none.
	Begin, Length uint64
	// PNXNUM puts 0xffff in e_phnum and the count in section 0's sh_info.
	PNXNUM bool
	// NotesLast puts the notes behind the memory.
	NotesLast bool
	// EhdrSize is e_ehsize, 0 means 8, QEMU's mistake; the right value is 64.
	EhdrSize uint16
	// NoCPUNotes leaves out the CORE and QEMU notes.
	NoCPUNotes bool
	// NoKernelGSBase shortens the QEMU notes to 432 bytes, as before QEMU 3.0.
	NoKernelGSBase bool
	// NoGuestNote leaves out the VMCOREINFO note.
	NoGuestNote bool
	// GuestNoteSize is VMCOREINFO's descsz, 0 means 0x2000; the header is cut or
	// padded with zeros.
	GuestNoteSize int
}

// Module is an entry of the loader list.
type Module struct {
	// Entry is the address of the list entry, set by [New].
	Entry          uint64
	Base           uint64
	EntryPoint     uint64
	Size           uint32
	Name, FullName string
}

// Addresses that do not depend on the options.
const (
	// KernBase is the nt image's base, 2 MiB aligned as Windows loads it.
	KernBase = 0xfffff80412c00000
	// SharedUserData is KUSER_SHARED_DATA's kernel address.
	SharedUserData = 0xfffff78000000000
	// MapAllBase is where Options.MapAll maps physical address 0.
	MapAllBase = 0xffff900000000000
	// DefaultWaitNever and DefaultWaitAlways are the keys when none are given.
	DefaultWaitNever  = 0x00c5bb1ee8a2f57d
	DefaultWaitAlways = 0x9d3a7cc1b0e65f24

	pcrBase    = 0xfffff80410000000
	pcrStride  = 0x20000
	poolBase   = 0xffffae8101000000
	stackBase  = 0xffffc301aa000000
	stackShift = 0x7000
	pageSize   = 0x1000
)
