// Package triagefile reads and writes what follows the header of a triage dump (DumpType
// 4, which Windows calls a small memory dump). [File] is a dump as its records describe
// it, [Contents] is what one is made of. [winhdr.TriageFormat] says which records a
// machine has.
package triagefile
