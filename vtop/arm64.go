package vtop

// The bits of the descriptors of AArch64's translation tables with granules of 4 KiB
// (Arm ARM, D8.3, VMSAv8-64). Windows' forms, its software bit and its self-map are those
// of build 22000, which a triage dump shows; MemProcFS reads the same. What is written in
// entries that are not present is as on x64.
const (
	bitValid Entry = 1 << 0
	// bitType is set in what refers to a table, and in what maps a page of 4 KiB; clear
	// in a block.
	bitType Entry = 1 << 1
	// bitAccess is clear in entries that fault until they are used: Windows sets it, or
	// lets the processor set it.
	bitAccess Entry = 1 << 10

	// addressARM64 is bits 12-47. With FEAT_LPA2 further bits lie elsewhere in an entry.
	addressARM64 Entry = (1<<48 - 1) &^ 0xfff
	// blockLow is bit 16 of a block's entry: nT (FEAT_BBM), no part of the address.
	blockLow Entry = 1 << 16
)

var (
	flagsOfDescriptor = []Flag{
		{Name: "V", Bit: bitValid},
		{Name: "T", Bit: bitType},
		{Name: "User", Bit: 1 << 6, OfPage: true},
		{Name: "RO", Bit: 1 << 7, OfPage: true},
		{Name: "AF", Bit: bitAccess, OfPage: true},
		{Name: "nG", Bit: 1 << 11, OfPage: true},
		{Name: "DBM", Bit: 1 << 51, OfPage: true},
		{Name: "PXN", Bit: 1 << 53, OfPage: true},
		{Name: "UXN", Bit: 1 << 54, OfPage: true},
		{Name: "W", Bit: 1 << 55, OfPage: true}, // Windows' own
		{Name: "PXNTable", Bit: 1 << 59},
		{Name: "UXNTable", Bit: 1 << 60},
	}

	tableDescriptor = Form{Mask: bitValid | bitType, Value: bitValid | bitType, Address: addressARM64}
)

// mapsBlock is a descriptor that maps 1<<shift bytes.
func mapsBlock(shift int) Form {
	below := Entry(1)<<shift - 1
	return Form{
		Mask: bitValid | bitType, Value: bitValid,
		Address: addressARM64 &^ below, Reserved: addressARM64 & below &^ blockLow,
	}
}

// ARM64 is the translation of 64-bit Arm as Windows uses it: granules of 4 KiB and four
// levels for addresses of 47 bits in each half. TTBR0_EL1 and TTBR1_EL1 hold the two
// halves of one table of 512 entries: with 47 bits the topmost table of a half has 256
// entries, and TTBR1_EL1 is TTBR0_EL1 + 0x800. So the page at TTBR0_EL1 is the one
// root, as on x64.
//
// 48 bits in each half are [ARM64Wide]. Addresses of 52 bits and other granules are
// another layout of the tables, which these are not.
var ARM64 = &Mode{
	Name: "arm64, 4 levels", PointerSize: 8, EntrySize: 8,
	Levels:       levelsARM64,
	SignExtended: true, KernelStart: 0xffff8000_00000000,
	RootMask: uint64(addressARM64), Control: Bits{Mask: tcrLayout, Value: tcrWindows},
	Present: bitValid, Absent: absentIn(addressARM64, ^Entry(1<<32-1)),
	// What settles it are the address and bits 0 and 1. The processor looks at no other of
	// a table below bit 59, and Windows sets more of them than MemProcFS expects: entries
	// of tables end in f03 in build 22000, and in f23 in 24H2 (McGarr, "Windows ARM64
	// Internals").
	SelfMap:       &SelfMap{First: 0x100, Last: 0x1ff, Mask: addressARM64 | bitValid | bitType, Value: bitValid | bitType},
	RootByMapping: true,
}

// ARM64Wide is [ARM64] with 48 bits in each half. Each has a table of 512 entries of its
// own then, at TTBR0_EL1 and TTBR1_EL1. No Windows is known to use it; which entry refers
// to the upper table is not, either.
var ARM64Wide = &Mode{
	Name: "arm64, 4 levels, halves of 48 bits", PointerSize: 8, EntrySize: 8,
	Levels:       levelsARM64,
	SignExtended: true, Split: true, KernelStart: 0xffff0000_00000000,
	RootMask: uint64(addressARM64), Control: Bits{Mask: tcrLayout, Value: tcrWide},
	Present: bitValid, Absent: ARM64.Absent,
	SelfMap:       &SelfMap{First: 0, Last: 0x1ff, Mask: ARM64.SelfMap.Mask, Value: ARM64.SelfMap.Value},
	RootByMapping: true,
}

var levelsARM64 = []Level{
	{Name: "L3", Bits: 9, Page: Form{Mask: bitValid | bitType, Value: bitValid | bitType, Address: addressARM64}, Flags: flagsOfDescriptor},
	{Name: "L2", Bits: 9, Table: tableDescriptor, Page: mapsBlock(21), Flags: flagsOfDescriptor},
	{Name: "L1", Bits: 9, Table: tableDescriptor, Page: mapsBlock(30), Flags: flagsOfDescriptor},
	{Name: "L0", Bits: 9, Table: tableDescriptor, Flags: flagsOfDescriptor},
}

// What of TCR_EL1 (Arm ARM, TCR_EL1) says how the tables are laid out: T0SZ, EPD0, TG0,
// T1SZ, EPD1, TG1, and DS, which is set for addresses of 52 bits.
const (
	tcrLayout = 0x3f | 1<<7 | 3<<14 | 0x3f<<16 | 1<<23 | 3<<30 | 1<<59
	// tcrWindows: 47 bits in each half, granules of 4 KiB (0 in TG0, 2 in TG1).
	tcrWindows = 17 | 17<<16 | 2<<30
	// tcrWide: 48 bits in each half, the same granules.
	tcrWide = 16 | 16<<16 | 2<<30
)

// FlatARM64 is for memory of Arm64 that is kept by virtual address: see
// [Mode].FlatBits.
var FlatARM64 = &Mode{
	Name: "arm64, by virtual address", PointerSize: 8, EntrySize: 8, FlatBits: 48,
	SignExtended: true, KernelStart: ARM64.KernelStart,
	RootMask: uint64(addressARM64),
}
