// Package winhdr declares the headers of Windows kernel crash dumps, each once a
// machine: it decodes, encodes, checks and repairs them, and reads no guest memory.
// The CONTEXT that a header holds is package wincontext's.
//
// A machine is one value, a [Format]: [X64], [X86] and [ARM64], or one that a caller
// fills in. [Recognise] and [Decode] choose it by the bytes; nobody else need ask which
// it is, because [Header] and [wincontext.Context] have the answers.
//
// A dump begins with 0x2000 bytes that Microsoft calls DUMP_HEADER64, or with
// 0x1000 that it calls DUMP_HEADER32, which has the same things in narrower fields
// and in another order. They say which physical pages the file holds (the run table), where the System
// process's page table and the kernel's own description of itself are (KDBG),
// and why the machine stopped. In a full dump, DumpType 1, the pages of the run
// table follow, back to back. Everything is little-endian.
//
// A triage dump, DumpType 4, has no pages: its records, a [TriageFormat], say where its
// parts are. Package triagefile reads and writes one.
//
// # Units
//
// Addresses and sizes are in bytes unless a name says pages (4 KiB). Each field
// says whether it is a virtual address of the guest (VA), a physical one (PA) or
// a page frame number (a PA divided by 4096). SystemTime is in units of 100 ns
// since 1601, SystemUpTime in units of 100 ns.
//
// # What callers may assume
//
// Decoding judges nothing but the size, and encoding gives back every byte that
// was decoded, those without a meaning included: a guest's own header can be
// changed in a field or two and is otherwise kept. Check and Runs say what is
// wrong with a header, field by field, and what of it can be put right. No
// input, however hostile, makes anything here panic, and what Runs returns is
// always a table that can be written: see there.
//
// All values are plain data, and what only reads one never writes to it: two
// goroutines may read the same, while nobody sets a field. [Diff] says what was
// changed, field by field.
//
// # Sources
//
// The layouts are those of Microsoft's mindumpdef.h (WDK) and winnt.h (SDK),
// which QEMU's win_dump_defs.h, kdmp-parser and volatility agree with, and real
// dumps of builds 9600, 19041 and 26100. "Observed with the engine" means
// Microsoft's debugger engine, dbgeng.dll 10.0.10240, opening dumps that differ
// from a good one in a single field.
package winhdr
