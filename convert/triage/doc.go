// Package triage plans a small dump (DumpType 4, a "minidump"): what crashed, in a few
// hundred kilobytes, of a machine of any size. It holds pieces of memory by their virtual
// addresses, in the order of their worth to a debugger: a table of tiers says what each
// collects. A budget takes what fits and counts what does not.
//
// It is small, not anonymous: a stack, pages around registers and the names of drivers
// are in it. Memory of processes is not, unless that is asked for.
package triage
