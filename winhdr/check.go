package winhdr

import (
	"fmt"

	"windmp/physmem"
)

// maxBuild: DBGKD_GET_VERSION64.MinorVersion (wdbgexts.h) has 16 bits.
const maxBuild = 0xffff

// Check returns what is wrong with the fields of a full dump's header, in their
// order, nothing if all is well. The run table is checked as Runs does.
//
// Not repairable, because everything else is found through them: Signature,
// ValidDump, MachineImageType, the page of DirectoryTableBase, the run table
// where Runs says so. Repairable are flag bits in DirectoryTableBase (they are
// no part of the address); NumberProcessors (KiProcessorBlock has as many
// entries as there are processors); MinorVersion and SystemTime
// (KUSER_SHARED_DATA has both); PaeEnabled (the CPUs' CR4 and KDDEBUGGER_DATA64
// say it too); KdDebuggerDataBlock (the block can be found), and what it holds,
// PfnDataBase, PsLoadedModuleList and PsActiveProcessHead; DumpType, which
// whoever writes the pages knows.
//
// The other fields are not checked: they change with every conversion, or no
// reader depends on them.
func (h *Header) Check() []Problem {
	var problems []Problem
	for _, r := range rules {
		if _, ok := h.format.Header.Field(r.field); !ok {
			continue
		}
		for _, p := range r.check(h) {
			if p.Field == "" {
				p.Field, p.Offset = r.field, h.Offset(r.field)
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// rules are the fields that are checked, in the order of the header. A check
// returns what is wrong with the field; that it is about the rule's own field
// need not be said. Its limits are the format's.
var rules = []struct {
	field string
	check func(h *Header) []Problem
}{
	{"Signature", func(h *Header) []Problem {
		return unless(h.Signature == SignaturePAGE, tag(h.Signature), tag(SignaturePAGE), false)
	}},
	{"ValidDump", func(h *Header) []Problem {
		return unless(h.ValidDump == h.format.ValidDump, tag(h.ValidDump), tag(h.format.ValidDump), false)
	}},
	{"MinorVersion", func(h *Header) []Problem {
		return unless(h.MinorVersion >= h.format.MinBuild && h.MinorVersion <= maxBuild, hex(h.MinorVersion),
			fmt.Sprintf("a build number from 0x%x to 0x%x", h.format.MinBuild, maxBuild), true)
	}},
	{"DirectoryTableBase", (*Header).checkTableBase},
	{"PfnDataBase", func(h *Header) []Problem { return h.checkPointer(h.PfnDataBase) }},
	{"PsLoadedModuleList", func(h *Header) []Problem { return h.checkPointer(h.PsLoadedModuleList) }},
	{"PsActiveProcessHead", func(h *Header) []Problem { return h.checkPointer(h.PsActiveProcessHead) }},
	{"MachineImageType", func(h *Header) []Problem {
		return unless(h.MachineImageType == h.format.Machine, machine(h.MachineImageType), h.format.machineText(), false)
	}},
	{"NumberProcessors", func(h *Header) []Problem {
		n := h.NumberProcessors
		return unless(n > 0 && int64(n) <= int64(h.format.MaxProcessors), hex(n), fmt.Sprintf("1 to 0x%x", h.format.MaxProcessors), true)
	}},
	{"PaeEnabled", func(h *Header) []Problem {
		return unless(h.PaeEnabled <= 1, fmt.Sprintf("0x%x", h.PaeEnabled), "0 or 1", true)
	}},
	{"KdDebuggerDataBlock", func(h *Header) []Problem { return h.checkPointer(h.KdDebuggerDataBlock) }},
	{"NumberOfRuns", func(h *Header) []Problem {
		_, problems := h.Runs()
		return problems
	}},
	{"DumpType", func(h *Header) []Problem {
		return unless(h.DumpType == DumpTypeFull, fmt.Sprintf("0x%x (%v)", uint32(h.DumpType), h.DumpType), "0x1 (full)", true)
	}},
	{"SystemTime", func(h *Header) []Problem {
		_, err := Time(h.SystemTime)
		return unless(err == nil, hex(h.SystemTime), "a time from 1601 to 9999 in units of 100 ns", true)
	}},
}

// unless is one problem with the field of a rule, if it is not ok.
func unless(ok bool, got, want string, repairable bool) []Problem {
	if ok {
		return nil
	}
	return []Problem{{Got: got, Want: want, Repairable: repairable}}
}

// checkTableBase: the register may hold more than the address of a page table.
func (h *Header) checkTableBase() []Problem {
	dtb, root := h.DirectoryTableBase, h.format.TableBase(h)
	if root == 0 || isFill(dtb) {
		return unless(false, hex(dtb), "the physical address of a page table", false)
	}
	runs, _ := h.Runs()
	return append(
		unless(dtb == root, hex(dtb), fmt.Sprintf("0x%x, the address alone", root), true),
		unless(runs == nil || inRuns(runs, root), hex(dtb), "an address inside one of the runs", false)...)
}

// inRuns tells whether a physical address lies in one of the runs.
func inRuns(runs physmem.Runs, pa uint64) bool {
	for _, run := range runs {
		if pfn := pa / physmem.PageSize; pfn >= run.BasePage && pfn-run.BasePage < run.PageCount {
			return true
		}
	}
	return false
}

// checkPointer checks a kernel address.
func (h *Header) checkPointer(va uint64) []Problem {
	return unless(va >= h.format.KernelStart && !isFill(va), hex(va), "a kernel address", true)
}
