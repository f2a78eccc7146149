// Package guestsim builds a tiny x64 Windows guest in memory: a few dozen pages
// that hold everything a converter looks at. It is what the unit tests and the
// fuzz seeds of this module stand on. [NewKernel32] builds what a 32-bit kernel says of
// itself.
//
// The guest has page tables (4 or 5 levels), an nt image page with PE headers,
// KDDEBUGGER_DATA64 (plain or encoded), a KPCR/KPRCB with CONTEXT and special
// registers for each processor, a loader list, bug check data,
// KUSER_SHARED_DATA and the dump header that the virtio-win fwcfg64 driver
// publishes. [Guest.ELF] wraps it as QEMU's dump-guest-memory does.
//
// Everything is written by raw offsets that are stated here a second time, on
// purpose: the packages under test declare the same layouts as structs, and a
// test in this package holds the two statements against each other. For the
// same reason, and so that every package's tests can use it, guestsim imports
// none of this module's packages.
//
// It is a test helper: wrong use (a write to an unmapped address, more pages
// than the guest has) panics.
package guestsim
