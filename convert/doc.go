// Package convert turns the saved memory of a Windows virtual machine into a crash dump
// that WinDbg opens. [File] does all of it, [Stream] does it into a pipe. The input is a
// file or an http(s) URL, packed or not; of a URL only the parts that are needed are
// asked for. [source.Web] in the options says how; nothing secret of a URL is in a report
// or an error.
//
// The stages are packages, and each can be used alone:
//
//	source.Open       the file, unpacked; physmem/open, the memory in it
//	guest.Find        what guest this is: header, page tables, KDBG, processors
//	plan.New          what goes out: header, pages, edits of memory
//	judge.Plan        what a debugger will make of it, before it is written
//	Write, WriteFile  the copy, with the edits laid over it
//
// Package inspect uses the same stages and writes nothing.
//
// The source is opened read-only and is never changed. What is odd, guessed,
// repaired or missing becomes a finding in the report; nothing is logged and nothing
// is printed. Numbers from the guest are treated as hostile, and memory use never
// follows the size of the guest.
package convert
