package kdbg

import (
	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// ARM64 is the kernel of 64-bit Arm. Offsets are those of build 22000, as its KDBG and the
// eight KPRCBs of a triage dump have them; the block states most of them itself, so that
// other builds may differ. Those that it does not are alike in the Windows SDK's ksarm64.h
// of that time and of 24H2. What is made of pointers is as on x64, and so are the
// structures that neither describes.
var ARM64 = &Layout{
	PointerSize:  8,
	LowestKernel: vtop.ARM64.KernelStart,
	OtherPages:   []uint64{16 << 10, 64 << 10},
	FirstImage:   X64.FirstImage, LastImage: X64.LastImage,
	SharedUserData: X64.SharedUserData,
	Image:          peimage.ARM64,
	// The code that encodes it is no processor's own. No encoded block of a real guest
	// was seen.
	Encodes: true,
	// What the one dump seen has is of a function that the kernel's own bug checks call,
	// too; how long KeBugCheckEx is in it is not known, and hardly more than this.
	StopCalls: true, StopReach: 0x100,
	Loader: X64.Loader,
	Process: ProcessLayout{
		ApcProcess: 0xb0, DirectoryTable: 0x28, NameFromPeb: []int{0x58, 0x50, 0x60},
	},
	Processor: ProcessorLayout{
		// Self is 0 in the KPCR of build 22000, though KDBG states a place for it.
		Prcb: 0x980, Number: 0x24, IdleThread: 0x18,
		SpecialRegisters: func(d *wire.Data) uint16 { return d.OffsetPrcbProcStateSpecialReg },
	},
	Specials: specials.ARM64,
}
