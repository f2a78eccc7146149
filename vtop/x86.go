package vtop

import "windmp/physmem"

// The bits of x86's entries (Intel SDM vol. 3, 4.3 to 4.5, tables 4-4 to 4-20), and
// those of Windows in entries that are not present, see [Entry].
const (
	bitP  Entry = 1 << 0
	bitPS Entry = 1 << 7
	bitNX Entry = 1 << 63

	bitPrototype  Entry = 1 << 10
	bitTransition Entry = 1 << 11

	// address64 is bits 12-51. How many of the upper ones exist depends on the
	// processor (MAXPHYADDR, SDM vol. 3, 4.1.4), 52 bits is the most.
	address64 Entry = (1<<52 - 1) &^ 0xfff
	address32 Entry = 0xffff_f000 // bits 12-31
	// addressPAT is the lowest address bit of a 2 MiB or 1 GiB page's entry,
	// where it is no part of the address but of the memory type (SDM vol. 3,
	// tables 4-4, 4-9, 4-16 and 4-18).
	addressPAT Entry = 1 << 12

	// paeHigh is bits 52-62, reserved in PAE entries that 4-level paging has
	// for software (SDM vol. 3, tables 4-9 to 4-11).
	paeHigh Entry = (1<<63 - 1) &^ (1<<52 - 1)
	// paeTop is what is reserved in the entries at CR3: bits 1-2, 5-8 and
	// 52-63 (SDM vol. 3, table 4-8), but for bit 5. A processor reads these
	// entries when CR3 is loaded, and QEMU's TCG, which reads them each time,
	// sets Accessed there (seen with 7.2).
	paeTop = paeHigh | bitNX | 0x1c6
)

var (
	flagsOfTable = []Flag{
		{Name: "P", Bit: bitP},
		{Name: "RW", Bit: 1 << 1},
		{Name: "US", Bit: 1 << 2},
		{Name: "PWT", Bit: 1 << 3},
		{Name: "PCD", Bit: 1 << 4},
		{Name: "A", Bit: 1 << 5},
		{Name: "D", Bit: 1 << 6, OfPage: true},
		{Name: "G", Bit: 1 << 8, OfPage: true},
		{Name: "PS", Bit: bitPS},
		{Name: "NX", Bit: bitNX},
	}
	// On level 1, bit 7 is PAT, a part of the memory type.
	flagsOfPage = append(append([]Flag{}, flagsOfTable[:8]...), flagsOfTable[9])
)

// refersTable is an entry that refers to a table, where one with PS set does not.
func refersTable(address, reserved Entry) Form {
	return Form{Mask: bitP | bitPS, Value: bitP, Address: address, Reserved: reserved}
}

// mapsPage is an entry of level 1.
func mapsPage(address, reserved Entry) Form {
	return Form{Mask: bitP, Value: bitP, Address: address, Reserved: reserved}
}

// mapsLarge is an entry of 8 bytes that maps a page of 1<<shift bytes. The address
// bits below that are reserved, other than PAT.
func mapsLarge(shift int, reserved Entry) Form {
	below := Entry(1)<<shift - 1
	return Form{
		Mask: bitP | bitPS, Value: bitP | bitPS,
		Address: address64 &^ below, Reserved: reserved | address64&below&^addressPAT,
	}
}

// absentIn are the forms of absent entries of a width.
func absentIn(address, pagefile Entry) Absent {
	return Absent{
		Prototype:  Form{Mask: bitP | bitPrototype, Value: bitPrototype},
		Transition: Form{Mask: bitP | bitPrototype | bitTransition, Value: bitTransition, Address: address},
		Pagefile:   pagefile,
	}
}

var (
	absent64 = absentIn(address64, ^Entry(1<<32-1))

	pte64   = Level{Name: "PTE", Bits: 9, Page: mapsPage(address64, 0), Flags: flagsOfPage}
	pde64   = Level{Name: "PDE", Bits: 9, Table: refersTable(address64, 0), Page: mapsLarge(21, 0), Flags: flagsOfTable}
	pdpte64 = Level{Name: "PDPTE", Bits: 9, Table: refersTable(address64, 0), Page: mapsLarge(30, 0), Flags: flagsOfTable}
	pml4e   = Level{Name: "PML4E", Bits: 9, Table: refersTable(address64, 0), Flags: flagsOfTable}
	pml5e   = Level{Name: "PML5E", Bits: 9, Table: refersTable(address64, 0), Flags: flagsOfTable}

	// The index of the self-map is random in the kernel's half since Windows 10
	// 1607, 0x1ed before. What settles it are address, PS, R/W and P (MemProcFS).
	selfMap64 = &SelfMap{First: 0x100, Last: 0x1ff, Mask: 0x0000_ffff_ffff_f083, Value: 3}
)

// X64 is 4-level paging (SDM vol. 3, 4.5): 48-bit addresses, pages of 4 KiB, 2 MiB
// or 1 GiB. Bits 0-11 of CR3 are flags or a PCID, bit 63 belongs to the
// instruction that loads it (SDM vol. 3, 4.5.2 and 4.10.4.1).
var X64 = &Mode{
	Name: "x64, 4 levels", PointerSize: 8, EntrySize: 8,
	Levels:       []Level{pte64, pde64, pdpte64, pml4e},
	SignExtended: true, KernelStart: 0xffff8000_00000000,
	RootMask: uint64(address64), Control: Bits{Mask: physmem.CR4LA57},
	Present: bitP, Absent: absent64,
	SelfMap: selfMap64, RootByMapping: true, LowStub: lowStub64,
}

// LA57 is 5-level paging, chosen by CR4.LA57 (SDM vol. 3, 4.5): X64 with 57-bit
// addresses. Microsoft's debugger engine 10.0.10240 walks four levels whatever CR4
// says, and reads nothing.
var LA57 = &Mode{
	Name: "x64, 5 levels", PointerSize: 8, EntrySize: 8,
	Levels:       []Level{pte64, pde64, pdpte64, pml4e, pml5e},
	SignExtended: true, KernelStart: 0xff000000_00000000,
	RootMask: uint64(address64), Control: Bits{Mask: physmem.CR4LA57, Value: physmem.CR4LA57}, Unfamiliar: true,
	Present: bitP, Absent: absent64,
	SelfMap: selfMap64, RootByMapping: true, LowStub: lowStub64,
}

// Of 32-bit Windows the kernel begins at 80000000, higher if it was booted with more
// than 2 GiB of user addresses (increaseuserva). All versions map their page
// tables at c0000000 (Russinovich and Solomon, "Windows Internals"; Volatility
// reads the same).
const kernelStart32 = 0x8000_0000

// PAE is the mode of 32-bit systems with CR4.PAE set (SDM vol. 3, 4.4): four
// entries of 8 bytes at CR3, then two levels of tables as x64 has them; a page has
// 4 KiB or 2 MiB.
var PAE = &Mode{
	Name: "x86 with PAE", PointerSize: 4, EntrySize: 8,
	Levels: []Level{
		{Name: "PTE", Bits: 9, Page: mapsPage(address64, paeHigh), Flags: flagsOfPage},
		{Name: "PDE", Bits: 9, Table: refersTable(address64, paeHigh), Page: mapsLarge(21, paeHigh), Flags: flagsOfTable},
		{Name: "PDPTE", Bits: 2, Table: refersTable(address64, paeTop), Flags: flagsOfTable},
	},
	KernelStart: kernelStart32,
	RootMask:    0xffff_ffe0, Control: Bits{Mask: physmem.CR4PAE, Value: physmem.CR4PAE},
	Present: bitP, Absent: absent64,
	// What decides which table a directory's entry refers to: address, PS and P.
	SelfMap: &SelfMap{First: 0x600, Last: 0x603, Mask: address64 | bitPS | bitP, Value: bitP},
}

// X86 is the mode of 32-bit systems without PAE (SDM vol. 3, 4.3): two levels of
// entries of 4 bytes; a page has 4 KiB or 4 MiB. CR4.PSE, which allows the latter,
// is taken to be set, as Windows sets it.
var X86 = &Mode{
	Name: "x86 without PAE", PointerSize: 4, EntrySize: 4,
	Levels: []Level{
		{Name: "PTE", Bits: 10, Page: mapsPage(address32, 0), Flags: flagsOfPage},
		{
			Name: "PDE", Bits: 10, Table: refersTable(address32, 0), Flags: flagsOfTable,
			// Bits 13-20 are bits 32-39 of the address (PSE-36), bit 21 is
			// reserved (SDM vol. 3, table 4-4).
			Page: Form{
				Mask: bitP | bitPS, Value: bitP | bitPS, Reserved: 1 << 21,
				Address: 0xffc0_0000, High: 0x001f_e000, HighShift: 32 - 13,
			},
		},
	},
	KernelStart: kernelStart32,
	RootMask:    uint64(address32), Control: Bits{Mask: physmem.CR4PAE},
	Present: bitP, Absent: absentIn(address32, address32),
	SelfMap: &SelfMap{First: 0x300, Last: 0x300, Mask: address32 | 0x83, Value: 3},
}

// FlatX64 and FlatX86 are for memory that is kept by virtual address, which says
// nothing of page tables: see [Mode].FlatBits. That of x64 has room for addresses of
// five levels.
var (
	FlatX64 = &Mode{
		Name: "x64, by virtual address", PointerSize: 8, EntrySize: 8, FlatBits: 57,
		SignExtended: true, KernelStart: LA57.KernelStart,
		RootMask: LA57.RootMask,
	}
	FlatX86 = &Mode{
		Name: "x86, by virtual address", PointerSize: 4, EntrySize: 4, FlatBits: 32,
		KernelStart: kernelStart32,
		RootMask:    PAE.RootMask,
	}
)
