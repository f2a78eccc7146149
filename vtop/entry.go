package vtop

// Entry is a page-table entry of any level.
//
// With bit 0 (P) set the processor uses it: Intel SDM vol. 3, 4.5.4, tables
// 4-14 to 4-20. Bits 9-11 and 52-58 are then ignored by the processor, bits
// 59-62 hold a protection key at most; Windows keeps working-set data there.
//
// With P clear the processor ignores all other bits, and Windows' memory
// manager has its own forms (types _MMPTE_PROTOTYPE, _MMPTE_TRANSITION and
// _MMPTE_SOFTWARE of ntoskrnl's public symbols; alike from Windows 7 to 11). In this
// order, each meaning that none before it fits:
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
//
// All this is said of entries without their [Swizzle].
type Entry uint64

// Swizzle is what Windows since 2018 does to entries that are not present, on
// processors with the L1 terminal fault flaw (CVE-2018-3620): it sets an address bit
// above all memory in them, so that the processor can't follow them by speculation.
// An entry that had this bit anyway is left as it was and marked instead
// (_MMPTE_TRANSITION.SwizzleBit of ntoskrnl's public symbols). The kernel states both
// bits in its debugger data block (wdbgexts.h). The zero value does nothing.
type Swizzle struct {
	// Bits are set in the entries, and are no part of what they say.
	Bits Entry
	// Unless is the mark of an entry that was left as it was.
	Unless Entry
}

// undo is the entry as Windows means it.
func (z Swizzle) undo(e Entry) Entry {
	if e&z.Unless != 0 {
		return e
	}
	return e &^ z.Bits
}
