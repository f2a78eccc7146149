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
// The address of a page in transition has not always all of its bits: on processors
// with the L1 terminal fault flaw, Windows since 2018 sets a high address bit in
// entries that are not present (bit 45 on a host with 46 address bits), so that
// the processor can't follow them by speculation. Bit 4 (SwizzleBit) set says
// that this entry is left as it was. Which bits are set is
// MiState.Hardware.InvalidPteMask, found only with symbols; volatility3 (pull
// request 475) and libvmi (pull request 1054) cut the address at 45 bits
// instead. Here the address is taken as it stands. One with such a bit lies
// above all memory, so that the page counts as not saved: a guess might return
// a page that is not the right one.
type Entry uint64
