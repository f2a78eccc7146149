// Package vtop translates virtual addresses of an x64, 32-bit x86 or 64-bit Arm guest to
// physical ones and reads guest-virtual memory through them.
//
// A processor finds the physical page of a virtual address through levels of page
// tables. How many there are, and what their entries mean, is its paging mode: a
// [Mode] is all of that in one value; this package has [X86], [PAE], [X64], [LA57],
// [ARM64] and [ARM64Wide]. A [Space] is a mode, a root and guest-physical memory, which can be
// any io.ReaderAt whose offset is the physical address: an image of a machine, a
// dump, or a test's few pages. [FindRoots] searches memory for roots. [FlatX64],
// [FlatX86] and [FlatARM64] are for memory that is kept by virtual address, without page tables.
//
// # Units
//
// VA and PA are byte addresses, printed as 0x and hexadecimal digits. Sizes are in bytes.
// Levels count from the page: 1 is the page table, 2 the page directory; on x64 3 is the
// page-directory-pointer table, 4 the PML4 and 5 the PML5.
//
// # Pages that are not present
//
// Windows keeps its own data in entries that the processor ignores. A page in
// transition is read, since its contents are still in memory; a page that is in
// a paging file, that belongs to a section or that does not exist yet is a
// FaultError of its own kind. See Entry for the forms and their sources, and
// FaultError for how a caller tells "the guest does not map it" from "the file
// does not hold it" and from "the file could not be read".
//
// # What callers may assume
//
// The tables come from a guest, so they may hold anything. Whatever they
// hold, a translation ends after one entry a level, tables that refer to
// themselves included (Windows' topmost one does), and nothing here panics. What
// is allocated depends on the caller's sizes alone. A Space has no state: it can
// be used by any number of goroutines at once, if its memory can.
//
// No table is cached. Translating through a file costs a read of 8 bytes a
// level, 4 µs in all where a pread takes 0.9 µs, and a conversion translates a
// few thousand addresses.
//
// # Not supported
//
// Access rights, protection keys, nested paging, and the paging structures of other
// processors.
//
// # Sources
//
// "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual, its
// section numbers those of editions in which the chapter on paging is number 4. The
// modes of Arm are from the Arm Architecture Reference Manual (DDI 0487). Windows' forms are from ntoskrnl's public symbols, as several projects publish
// them.
package vtop
