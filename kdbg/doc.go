// Package kdbg reads the kernel's debugger data block, KDDEBUGGER_DATA64, and
// what hangs off it: processors, loaded modules, bug check data, build string.
// KUSER_SHARED_DATA is read here as well, though its address is fixed. Where no dump
// header says where things are, [Locate], [FindImage], [FindBlock] and [KernelRoots]
// find them.
//
// The block ("KDBG") is a table of addresses and offsets that Windows keeps for
// debuggers; without it WinDbg shows next to nothing of a dump. Windows 8 and
// later encode it in memory when booted without a debugger, and decode it when
// they crash. [Read] reads a plain block, [Decode] an encoded one, with no keys
// and no symbols.
//
// Addresses are guest-virtual ([vtop.VA]) unless a name says otherwise. Kernels of
// x64 and of 32-bit x86 are read.
//
// The package is meant for hostile input. It bounds every count and every list
// walk, allocates by fixed caps and never by a claimed size, and believes a block
// only after [Block.Verify]. Errors are typed. Those about guest memory wrap the
// [vtop.FaultError], so that "not mapped by the guest", "not saved in the file"
// and "the file can't be read" stay three things.
package kdbg
