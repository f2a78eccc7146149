package kdbg

import (
	"encoding/binary"
	"unsafe"

	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// X86 is the kernel of 32-bit x86, with PAE or without. Offsets are those of ntoskrnl's
// public symbols as Volatility's profiles give them.
var X86 = &Layout{
	PointerSize: 4,
	// With the boot option increaseuserva, once /3GB, the kernel has less than that.
	LowestKernel: vtop.X86.KernelStart,
	FirstImage:   0x80000000, LastImage: 0xffffffff,
	SharedUserData: 0xffdf0000,
	PageTables:     0xc0000000, // PTE_BASE of public debugger logs (!pte)
	Image:          peimage.X86,
	// Never encoded (Volatility, MemProcFS).
	Encodes:  false,
	Complete: completeXP,
	// The return address of the call that saves the CONTEXT: public debugger logs have
	// nt!KeBugCheckEx+0x1b (XP) and +0x1e (7).
	StopReach: 0x20,
	// CheckSum stands there in Microsoft's triage dumps.
	Loader: LoaderLayout{ExceptionTable: 0x08, ExceptionTableSize: 0x0c, DllBase: 0x18, EntryPoint: 0x1c, SizeOfImage: 0x20, FullDllName: 0x24, BaseDllName: 0x2c, CheckSum: 0x40},
	Process: ProcessLayout{
		ApcProcess:     0x44, // of XP; later blocks state it
		DirectoryTable: 0x18,
		NameFromPeb:    []int{-0x3c, 0x30, 0x34, 0x38}, // XP to 7, and 8 to 10
	},
	Processor: ProcessorLayout{
		Self: 0x1c, CurrentPrcb: 0x20, Prcb: 0x120, Version: 0x34,
		Number: 0x3cc, IdleThread: 0x0c, // since Windows 7
		// KPCR.IDT, GDT and TSS (WDK, ntddk.h).
		Held:             []HeldAddress{{0x38, idtBase}, {0x3c, gdtBase}, {0x40, tssBase}},
		IDT:              0x38,
		ByteNumber:       prcbNumberXP,
		SpecialRegisters: specialRegisters32,
		PCRSelector:      0x30, // KDBG states it as GdtR0Pcr; alike in all builds
		// In a 32-bit guest the first processor's KPCR always refers to it.
		Hint: func(m Memory, pcr vtop.VA) vtop.VA {
			v, err := m.versionAt(pcr)
			if err != nil {
				return 0
			}
			return v.KernBase
		},
	},
	Tables: TablesLayout{
		GateSize: 8, Gate: gate32, Vectors: vectorsX86, SystemSize: segmentSize, Segment: segmentOf,
		KernelCode: 0x08,
	},
	Specials: specials.X86,
}

const (
	prcbNumberXP = 0x10 // KPRCB.Number before Windows 7: a UCHAR
	// maxSizeXP is the largest Size of Windows XP, bytes: its block ends before the
	// offsets in structures.
	maxSizeXP = int(unsafe.Offsetof(wire.Data{}.OffsetKThreadNextProcessor))
)

// completeXP sets the offsets that debuggers assume where a block has none: those of
// XP.
func completeXP(d *wire.Data, size int) {
	if size > maxSizeXP {
		return
	}
	d.OffsetKThreadApcProcess = 0x44
	d.OffsetEprocessPeb, d.OffsetEprocessParentCID, d.OffsetEprocessDirectoryTableBase = 0x1b0, 0x14c, 0x18
	d.OffsetPrcbCurrentThread, d.OffsetPrcbNumber = 0x4, prcbNumberXP
	d.OffsetPrcbProcStateContext = 0x1c
}

// specialRegisters32: debuggers do not ask OffsetPrcbProcStateSpecialReg, which XP's
// and the first blocks of Server 2003 do not have: the structure follows ContextFrame.
func specialRegisters32(d *wire.Data) uint16 {
	if d.OffsetPrcbProcStateContext == 0 {
		return 0
	}
	return d.OffsetPrcbProcStateContext + wincontext.ContextSize32
}

// vectorsX86 are division errors, breakpoints and page faults (Intel SDM vol. 3, 6.15).
var vectorsX86 = []int{0, 3, 14}

// gate32 decodes a gate of 32-bit mode (Intel SDM vol. 3, 6.11).
func gate32(b []byte) vtop.VA {
	le := binary.LittleEndian
	return vtop.VA(le.Uint16(b)) | vtop.VA(le.Uint16(b[6:]))<<16
}
