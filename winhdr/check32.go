package winhdr

import (
	"fmt"
	"unsafe"
)

const (
	// MaxProcessors32 is the greatest NumberProcessors of 32-bit Windows:
	// a KAFFINITY has a bit for each (Microsoft wdm.h, MAXIMUM_PROCESSORS).
	MaxProcessors32 = 32

	// minBuild32 is Windows 2000, the first whose header has KdDebuggerDataBlock.
	minBuild32 = 2195
)

// Check returns what is wrong with the fields of a full dump's header, in their
// order, nothing if all is well. What can be repaired is as with [Header64.Check];
// PaeEnabled can be, as the CPUs' CR4 and KDDEBUGGER_DATA64 say it too.
func (h *Header32) Check() []Problem {
	var c checker
	if h.Signature != SignaturePAGE {
		c.add("Signature", unsafe.Offsetof(h.Signature), tag(h.Signature), tag(SignaturePAGE), false)
	}
	if h.ValidDump != ValidDumpDUMP {
		c.add("ValidDump", unsafe.Offsetof(h.ValidDump), tag(h.ValidDump), tag(ValidDumpDUMP), false)
	}
	if h.MinorVersion < minBuild32 || h.MinorVersion > maxBuild {
		c.add("MinorVersion", unsafe.Offsetof(h.MinorVersion), hex(h.MinorVersion),
			fmt.Sprintf("a build number from 0x%x to 0x%x", minBuild32, maxBuild), true)
	}
	c.checkDirectoryTableBase32(h)
	c.pointer32("PfnDataBase", unsafe.Offsetof(h.PfnDataBase), h.PfnDataBase)
	c.pointer32("PsLoadedModuleList", unsafe.Offsetof(h.PsLoadedModuleList), h.PsLoadedModuleList)
	c.pointer32("PsActiveProcessHead", unsafe.Offsetof(h.PsActiveProcessHead), h.PsActiveProcessHead)
	if h.MachineImageType != MachineI386 {
		c.add("MachineImageType", unsafe.Offsetof(h.MachineImageType),
			machine(h.MachineImageType), machine(MachineI386), false)
	}
	if h.NumberProcessors == 0 || h.NumberProcessors > MaxProcessors32 {
		c.add("NumberProcessors", unsafe.Offsetof(h.NumberProcessors),
			hex(h.NumberProcessors), fmt.Sprintf("1 to 0x%x", MaxProcessors32), true)
	}
	if h.PaeEnabled > 1 {
		c.add("PaeEnabled", unsafe.Offsetof(h.PaeEnabled), fmt.Sprintf("0x%x", h.PaeEnabled), "0 or 1", true)
	}
	c.pointer32("KdDebuggerDataBlock", unsafe.Offsetof(h.KdDebuggerDataBlock), h.KdDebuggerDataBlock)
	_, problems := h.Runs()
	c.problems = append(c.problems, problems...)
	if h.DumpType != DumpTypeFull {
		c.add("DumpType", unsafe.Offsetof(h.DumpType),
			fmt.Sprintf("0x%x (%v)", uint32(h.DumpType), h.DumpType), "0x1 (full)", true)
	}
	if _, err := Time(h.SystemTime); err != nil {
		c.add("SystemTime", unsafe.Offsetof(h.SystemTime), hex(h.SystemTime),
			"a time from 1601 to 9999 in units of 100 ns", true)
	}
	return c.problems
}

// checkDirectoryTableBase32: with PAE bits 5-31 of CR3 are the address, otherwise
// bits 12-31; the others are flags or ignored (Intel SDM vol. 3, 4.3 and 4.4.1).
// A PaeEnabled that is neither says nothing: the weaker rule holds.
func (c *checker) checkDirectoryTableBase32(h *Header32) {
	const field = "DirectoryTableBase"
	offset, dtb := unsafe.Offsetof(h.DirectoryTableBase), h.DirectoryTableBase
	root := dtb &^ 0x1f
	if h.PaeEnabled == 0 {
		root = dtb &^ 0xfff
	}
	switch {
	case root == 0 || isFill(dtb):
		c.add(field, offset, hex(dtb), "the physical address of a page table", false)
		return
	case dtb != root:
		c.add(field, offset, hex(dtb), fmt.Sprintf("0x%x, the address alone", root), true)
	}
	if runs, _ := h.Runs(); !inRuns(runs, uint64(root)) {
		c.add(field, offset, hex(dtb), "an address inside one of the runs", false)
	}
}

func (c *checker) pointer32(field string, offset uintptr, va uint32) {
	if va < kernelStart32 || isFill(va) {
		c.add(field, offset, hex(va), "a kernel address", true)
	}
}
