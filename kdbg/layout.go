package kdbg

import (
	"encoding/binary"
	"math"

	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// Layout is how the kernel of one machine keeps what debuggers read: all that differs
// between machines, in one value. [X64], [X86] and [ARM64] are the machines that are read;
// another is made of the same fields. Offsets are in bytes. A layout must not change
// while it is used.
type Layout struct {
	// PointerSize is 8 or 4. Structures that are made of pointers follow from it:
	// LIST_ENTRY, UNICODE_STRING, the runs of memory, the unloaded drivers, the bug
	// check's parameters, and how a block keeps addresses.
	PointerSize int
	// LowestKernel is the lowest address of the kernel's half.
	LowestKernel vtop.VA
	// OtherPages are the sizes of pages, bytes, that the machine can have beside the one
	// that is read; no Windows is known to use them.
	OtherPages []uint64
	// FirstImage and LastImage are the addresses between which the kernel's image
	// lies, on all builds.
	FirstImage, LastImage vtop.VA
	// SharedUserData is the kernel's address of KUSER_SHARED_DATA, on all builds.
	SharedUserData vtop.VA
	// PageTables is where the page tables map themselves, of builds whose block does
	// not say it.
	PageTables vtop.VA
	// Image is the format of the kernel's images.
	Image peimage.Format

	// Encodes says that the kernel encodes its block when it is booted without a
	// debugger.
	Encodes bool
	// StopReach is how far behind the entry of KeBugCheckEx the instruction pointer is
	// that the kernel saves there, in bytes; 0 for the first instruction.
	StopReach vtop.VA
	// StopCalls says that what the kernel saves there is the state in a function that
	// KeBugCheckEx called, so that its return address is within StopReach.
	StopCalls bool
	// StopCode is how KeBugCheckEx begins, nil where the instruction pointer that it
	// saves is not that of its first instruction.
	StopCode []byte
	// Complete sets fields that debuggers assume where a block of so many bytes ends
	// before them; nil if they assume none.
	Complete func(d *wire.Data, size int)

	Loader    LoaderLayout
	Processor ProcessorLayout
	Process   ProcessLayout
	Tables    TablesLayout
	Specials  specials.Codec
}

// LoaderLayout is where the fields of KLDR_DATA_TABLE_ENTRY lie. Its list entry is the
// first of them.
type LoaderLayout struct {
	// ExceptionTable and ExceptionTableSize are 0 where the loader keeps no such thing.
	ExceptionTable, ExceptionTableSize                         int
	DllBase, EntryPoint, SizeOfImage, FullDllName, BaseDllName int
	// CheckSum and TimeDateStamp are copies of the image's own, 0 where the place is
	// not known; the latter is there since the build StampSince.
	CheckSum, TimeDateStamp int
	StampSince              uint32
}

// ProcessLayout is of KTHREAD and EPROCESS.
type ProcessLayout struct {
	// ApcProcess is KTHREAD.ApcState.Process, DirectoryTable
	// EPROCESS.Pcb.DirectoryTableBase, where a block does not state them.
	ApcProcess, DirectoryTable vtop.VA
	// NameFromPeb are the distances of ImageFileName from Peb that builds have had.
	NameFromPeb []int
	// Switch is what lies where KTHREAD.KernelStack of a thread points that does not
	// run.
	Switch SwitchLayout
}

// SwitchLayout is of KSWITCH_FRAME: what a thread left on its stack when another took
// its processor. All are zero where it is not known.
type SwitchLayout struct {
	// Return is where the thread goes on; the stack pointer is then behind the Size
	// bytes of the structure.
	Return, Size vtop.VA
	// FramePointer is where the frame pointer was saved, FrameRegister its number.
	FramePointer  vtop.VA
	FrameRegister int
}

// ProcessorLayout is of KPCR and of the KPRCB in it.
type ProcessorLayout struct {
	// Self and CurrentPrcb are KPCR's pointers to itself and to its KPRCB, Prcb is
	// where that lies in it, and Version is the pointer to KdVersionBlock, which
	// may be null. Those that a KPCR does not have are 0.
	Self, CurrentPrcb, Prcb, Version vtop.VA
	// Number and IdleThread are KPRCB's, where a block does not state them.
	Number, IdleThread vtop.VA
	// Held are the addresses by which KPCR and the registers of its processor know
	// each other, beside that of the KPCR.
	Held []HeldAddress
	// ByteNumber is the place at which KPRCB.Number is a single byte, 0 for none.
	ByteNumber vtop.VA
	// SpecialRegisters is where ProcessorState.SpecialRegisters lies in KPRCB,
	// by what a block states; 0 if that does not tell. A function that is nil never
	// knows.
	SpecialRegisters func(*wire.Data) uint16

	// PCRSelector is the selector of the segment whose base is the KPCR, 0 where no
	// descriptor leads to it.
	PCRSelector uint16
	// IDT is where KPCR names the interrupt descriptor table; 0 on machines that have
	// none.
	IDT vtop.VA
	// Hint is an address in the kernel's image to which a KPCR leads before the
	// block is known, 0 for none. A function that is nil knows none.
	Hint func(m Memory, pcr vtop.VA) vtop.VA
	// Directories are the places in KPCR at which builds keep
	// KPRCB.KernelDirectoryTableBase, the likeliest first.
	Directories []vtop.VA
	// StubDirectory finds that place in the code of an interrupt's entry stub. A
	// function that is nil knows no stub.
	StubDirectory func(code []byte) (vtop.VA, bool)
}

// TablesLayout is of the descriptor tables of a processor. A machine that has none
// leaves the functions nil.
type TablesLayout struct {
	// GateSize is the size of an entry of the interrupt descriptor table, and Gate is
	// the handler in one.
	GateSize int
	Gate     func(entry []byte) vtop.VA
	// Vectors are those whose handlers lie in the kernel's image, the likeliest
	// first.
	Vectors []int
	// SystemSize is the size of a system descriptor, as that of a task. Segment
	// decodes one of that size, or of 8 bytes.
	SystemSize int
	Segment    func(descriptor []byte) Segment
	// KernelCode is the selector of the kernel's code, which debuggers look up in the
	// table of segments.
	KernelCode uint16
}

// IsKernel reports whether va may be an address in the kernel's half, whatever the
// paging mode.
func (l *Layout) IsKernel(va vtop.VA) bool { return va >= l.LowestKernel && va <= l.Last() }

// Last is the highest address.
func (l *Layout) Last() vtop.VA { return math.MaxUint64 >> (64 - 8*l.PointerSize) }

// narrow is a number of 64 bits as a pointer. Kernels of 32 bits keep them in the
// lower halves of qwords; the upper halves are zero, or repeat the sign.
func (l *Layout) narrow(v uint64) uint64 { return v & uint64(l.Last()) }

// Pointer is the pointer that b has at off.
func (l *Layout) Pointer(b []byte, off int) uint64 {
	var v [8]byte
	copy(v[:l.PointerSize], b[off:])
	return binary.LittleEndian.Uint64(v[:])
}

// bytes is an offset, which is not negative, as a distance of addresses.
func (l *Layout) bytes(n int) vtop.VA { return vtop.VA(n) } //nolint:gosec // of a field of a structure

// pointers is what n pointers take, bytes.
func (l *Layout) pointers(n int) vtop.VA { return vtop.VA(n * l.PointerSize) } //nolint:gosec // a few, of 4 or 8 bytes
