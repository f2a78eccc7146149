// Package triagefile reads and writes what stands behind the header of a triage dump,
// DumpType 4, which Windows calls a small memory dump: [File] is one as its records say
// what is where, [Contents] is what one is made of. Which machine has which records says
// [winhdr.TriageFormat].
package triagefile
