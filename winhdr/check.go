package winhdr

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

const (
	// MaxProcessors is the greatest NumberProcessors that Microsoft's
	// debugger engine accepts (observed with 10.0.10240).
	MaxProcessors = 0x500

	// minBuild is the first x64 release, Windows Server 2003 SP1. The engine
	// takes builds 0 and 1 for systems without 64-bit addresses (observed
	// with 10.0.10240).
	minBuild = 3790
	// maxBuild: DBGKD_GET_VERSION64.MinorVersion (wdbgexts.h) has 16 bits.
	maxBuild = 0xffff

	addressBits = uint64(MaxPFN-1) * PageSize // bits 12-51
)

// Check returns what is wrong with the fields of a full dump's header, in their
// order, nothing if all is well. The run table is checked as Runs does.
//
// Not repairable, because everything else is found through them: Signature,
// ValidDump, MachineImageType, the page of DirectoryTableBase, the run table
// where Runs says so. Repairable are flag bits in DirectoryTableBase (they are
// no part of the address); NumberProcessors (KiProcessorBlock has as many
// entries as there are processors); MinorVersion and SystemTime
// (KUSER_SHARED_DATA has both); KdDebuggerDataBlock (the block can be found),
// and what it holds, PfnDataBase, PsLoadedModuleList and PsActiveProcessHead;
// DumpType, which whoever writes the pages knows.
//
// The other fields are not checked: they change with every conversion, or no
// reader depends on them.
func (h *Header64) Check() []Problem {
	var c checker
	c.checkIdentity(h)
	c.checkDirectoryTableBase(h)
	c.pointer("PfnDataBase", unsafe.Offsetof(h.PfnDataBase), h.PfnDataBase)
	c.pointer("PsLoadedModuleList", unsafe.Offsetof(h.PsLoadedModuleList), h.PsLoadedModuleList)
	c.pointer("PsActiveProcessHead", unsafe.Offsetof(h.PsActiveProcessHead), h.PsActiveProcessHead)
	if h.MachineImageType != MachineAMD64 {
		c.add("MachineImageType", unsafe.Offsetof(h.MachineImageType),
			machine(h.MachineImageType), machine(MachineAMD64), false)
	}
	if h.NumberProcessors == 0 || h.NumberProcessors > MaxProcessors {
		c.add("NumberProcessors", unsafe.Offsetof(h.NumberProcessors),
			hex(h.NumberProcessors), fmt.Sprintf("1 to 0x%x", MaxProcessors), true)
	}
	c.pointer("KdDebuggerDataBlock", unsafe.Offsetof(h.KdDebuggerDataBlock), h.KdDebuggerDataBlock)
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

type checker struct{ problems []Problem }

func (c *checker) add(field string, offset uintptr, got, want string, repairable bool) {
	c.problems = append(c.problems, Problem{
		Field:      field,
		Offset:     int(offset),
		Got:        got,
		Want:       want,
		Repairable: repairable,
	})
}

func (c *checker) checkIdentity(h *Header64) {
	if h.Signature != SignaturePAGE {
		c.add("Signature", unsafe.Offsetof(h.Signature), tag(h.Signature), tag(SignaturePAGE), false)
	}
	if h.ValidDump != ValidDumpDU64 {
		c.add("ValidDump", unsafe.Offsetof(h.ValidDump), tag(h.ValidDump), tag(ValidDumpDU64), false)
	}
	if h.MinorVersion < minBuild || h.MinorVersion > maxBuild {
		c.add("MinorVersion", unsafe.Offsetof(h.MinorVersion), hex(h.MinorVersion),
			fmt.Sprintf("a build number from 0x%x to 0x%x", minBuild, maxBuild), true)
	}
}

// checkDirectoryTableBase: bits 0-11 of CR3 are flags or the PCID, bit 63 says
// not to flush, the rest is the address (Intel SDM vol. 3, 4.5 and 4.10.4.1).
func (c *checker) checkDirectoryTableBase(h *Header64) {
	const field = "DirectoryTableBase"
	offset, dtb := unsafe.Offsetof(h.DirectoryTableBase), h.DirectoryTableBase
	root := dtb & addressBits
	switch {
	case root == 0 || isFill(dtb):
		c.add(field, offset, hex(dtb), "the physical address of a page table", false)
		return
	case dtb != root:
		c.add(field, offset, hex(dtb), fmt.Sprintf("0x%x, the address alone", root), true)
	}
	if runs, _ := h.Runs(); !inRuns(runs, root) {
		c.add(field, offset, hex(dtb), "an address inside one of the runs", false)
	}
}

// inRuns tells whether a physical address lies in one of the runs; yes if there
// are none, which is said of the run table.
func inRuns(runs []PhysicalMemoryRun64, pa uint64) bool {
	for _, run := range runs {
		if pfn := pa / PageSize; pfn >= run.BasePage && pfn-run.BasePage < run.PageCount {
			return true
		}
	}
	return runs == nil
}

// pointer checks a kernel address: the upper half of the widest address space,
// that of 5-level paging, since the header does not say which it is.
func (c *checker) pointer(field string, offset uintptr, va uint64) {
	if va < kernelStart {
		c.add(field, offset, hex(va), "a kernel address", true)
	}
}

func tag(v uint32) string {
	return fmt.Sprintf("%q (0x%08x)", binary.LittleEndian.AppendUint32(nil, v), v)
}

func machine(v uint32) string {
	switch v {
	case MachineAMD64:
		return "0x8664 (x64)"
	case MachineI386:
		return "0x14c (32-bit x86)"
	case MachineARM64:
		return "0xaa64 (64-bit Arm)"
	}
	return hex(v)
}
