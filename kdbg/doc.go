// Package kdbg reads what a Windows kernel says of itself: its debugger data block,
// KDDEBUGGER_DATA64 (package wire has its layout), and what hangs off it: processors,
// loaded modules, processes, bug check data, build string, physical memory.
//
// The block ("KDBG") is a table of addresses and offsets that Windows keeps for
// debuggers; without it WinDbg shows next to nothing of a dump. Windows 8 and
// later encode it in memory when booted without a debugger, and decode it when
// they crash.
//
// A [Layout] is all that differs between the kernels of two machines; [X64], [X86] and
// [ARM64] are those that are read. [Layout.In] makes a [Memory] of it and an address space:
// where no dump header says where things are, its methods and windmp/kdbg/locate find them.
// [Memory.Read] reads a plain block, [Memory.Decode] an encoded one, with no keys and no
// symbols, and give a [Kernel], whose methods read the rest.
//
// Addresses are guest-virtual ([vtop.VA]) unless a name says otherwise.
//
// The package is meant for hostile input. It bounds every count and every list
// walk, allocates by fixed caps and never by a claimed size, and believes a block
// only after [Kernel.Verify]. Errors are typed. Those about guest memory wrap the
// [vtop.FaultError], so that "not mapped by the guest", "not saved in the file"
// and "the file can't be read" stay three things.
package kdbg
