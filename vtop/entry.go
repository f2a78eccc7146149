package vtop

// Entry is a page-table entry of any level.
//
// With bit 0 (P) set the processor uses it: Intel SDM vol. 3, 4.5.4, tables
// 4-14 to 4-20. Bits 9-11 and 52-58 are then ignored by the processor, bits
// 59-62 hold a protection key at most; Windows keeps working-set data there.
//
// With P clear the processor ignores all other bits, and Windows' memory
// manager has its own forms (types _MMPTE_PROTOTYPE, _MMPTE_TRANSITION and
// _MMPTE_SOFTWARE of ntoskrnl's public symbols; alike from Windows 7 to 11 but
// where a method says otherwise). In this order, each meaning that none before
// it fits:
//
//	bit 10       Prototype     bits 16-63 lead to the entry of a shared page
//	bit 11       Transition    the page is in memory, bits 12-51 say where
//	bits 32-63   in pagefile   the page's place in a paging file
//	any bit      demand zero   bits 5-9 are a protection, there is no page yet,
//	                           or no longer (decommitted)
//	none         not present   never used
//
// 32-bit Windows has the same forms with PAE. Without it an entry has 32 bits,
// kept here with zeros above: the place in a paging file is then in bits 12-31,
// and addresses end at bit 31.
type Entry uint64

const (
	entryPresent    Entry = 1 << 0
	entryLarge      Entry = 1 << 7
	entryPrototype  Entry = 1 << 10
	entryTransition Entry = 1 << 11
	// entryAddress is bits 12-51. How many of the upper ones exist depends
	// on the processor (MAXPHYADDR, SDM vol. 3, 4.1.4), 52 bits is the most.
	entryAddress Entry = (1<<52 - 1) &^ 0xfff
	// entryPAT is the lowest address bit of a 2 MiB or 1 GiB page's entry,
	// where it is no part of the address but of the memory type (SDM vol. 3,
	// tables 4-4, 4-9, 4-16 and 4-18).
	entryPAT Entry = 1 << 12
)

// Present is bit 0 (P): the processor uses the entry.
func (e Entry) Present() bool { return e&entryPresent != 0 }

// Large is bit 7 (PS): on levels 2 and 3 of a present entry, it maps a page of
// 2 MiB or 1 GiB (4 MiB in ModeLegacy) and refers to no further table. On level 1 the bit is PAT, a
// part of the memory type, and on levels 4 and 5 it is reserved.
func (e Entry) Large() bool { return e&entryLarge != 0 }

// NX is bit 63 (XD) of a present entry: no instructions may be fetched.
func (e Entry) NX() bool { return e>>63 != 0 }

// Address is bits 12-51: the physical address of a 4 KiB page or of the next
// table. The entry of a larger page holds other things in the lowest of these
// bits, see Translate.
func (e Entry) Address() PA { return PA(e & entryAddress) }

// PFN is Address as a page frame number.
func (e Entry) PFN() uint64 { return uint64(e.Address()) >> pageShift }

// Prototype reports Windows' form for a page of a section: bit 0 clear, bit 10
// set.
func (e Entry) Prototype() bool {
	return e&(entryPresent|entryPrototype) == entryPrototype
}

// Transition reports Windows' form for a page that was taken from a working
// set but is still in memory: bits 0 and 10 clear, bit 11 set.
//
// Bits 12-51 are its address, but not always all of them: on processors with
// the L1 terminal fault flaw, Windows since 2018 sets a high address bit in
// entries that are not present (bit 45 on a host with 46 address bits), so that
// the processor can't follow them by speculation. Bit 4 (SwizzleBit) set says
// that this entry is left as it was. Which bits are set is
// MiState.Hardware.InvalidPteMask, found only with symbols; volatility3 (pull
// request 475) and libvmi (pull request 1054) cut the address at 45 bits
// instead. Here the address is taken as it stands. One with such a bit lies
// above all memory, so that the page counts as not saved: a guess might return
// a page that is not the right one.
func (e Entry) Transition() bool {
	return e&(entryPresent|entryPrototype|entryTransition) == entryTransition
}

// Pagefile reports Windows' form for a page in a paging file: bits 0, 10 and 11
// clear, bits 32-63 not zero. It does not hold in ModeLegacy.
func (e Entry) Pagefile() bool {
	return e&(entryPresent|entryPrototype|entryTransition) == 0 && e>>32 != 0
}
