// Package convert is the pipeline of windmp: it turns the saved memory of a
// Windows virtual machine into a crash dump that WinDbg opens.
//
// The stages run in this order, a file each:
//
//	Examine   what guest is this: header, page tables, KDBG, processors
//	NewPlan   what goes out: header, memory runs, edits of guest memory
//	Plan.Write, Plan.WriteFile   the copy, with the edits laid over it
//
// [File] runs all of them on a file name. The source is opened read-only and is
// never changed: everything that differs in the output is an [Edit] that a
// read-only overlay applies while the pages are copied.
//
// What is odd, guessed, repaired or missing becomes a [Finding] in the
// [Report]; nothing is logged and nothing is printed. An address in this
// package is named for its space: VA is a guest-virtual, PA a guest-physical
// address, an offset counts bytes in a file.
//
// The package is hardened against hostile input: counts and lengths that come
// from the guest are capped before they are used, and memory use is set by the
// number of structures, never by the size of the guest.
package convert
