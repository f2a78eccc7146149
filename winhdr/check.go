package winhdr

import (
	"fmt"

	"windmp/physmem"
	"windmp/winhdr/problem"
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
func (h *Header) Check() []problem.Problem {
	c := checked{Header: h}
	c.runs, c.table = h.Runs()
	var problems []problem.Problem
	for _, r := range rules {
		found := r.check(&c)
		if len(found) == 0 {
			continue
		}
		if _, ok := h.format.Header.Field(r.field); !ok {
			continue
		}
		for _, p := range found {
			if p.Field == "" {
				p.Field, p.Offset = r.field, h.Offset(r.field)
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// checked is a header with what was wrong with its run table, and the runs that can
// be used.
type checked struct {
	*Header
	runs  physmem.Runs
	table []problem.Problem
}

// rules are the fields that are checked, in the order of the header. A check
// returns what is wrong with the field; that it is about the rule's own field
// need not be said. Its limits are the format's.
var rules = []struct {
	field string
	check func(h *checked) []problem.Problem
}{
	{"Signature", func(h *checked) []problem.Problem {
		if h.Signature == SignaturePAGE {
			return nil
		}
		return wrong("is not that of a dump", tag(h.Signature), tag(SignaturePAGE), false)
	}},
	{"ValidDump", func(h *checked) []problem.Problem {
		if h.ValidDump == h.format.ValidDump {
			return nil
		}
		return wrong("is not that of a dump of this machine", tag(h.ValidDump), tag(h.format.ValidDump), false)
	}},
	{"MinorVersion", func(h *checked) []problem.Problem {
		if h.format.Builds(h.MinorVersion) {
			return nil
		}
		return wrong("is no build number of Windows", problem.Hex(h.MinorVersion), fmt.Sprintf("a build number from 0x%x to 0x%x", h.format.MinBuild, maxBuild), true)
	}},
	{"DirectoryTableBase", (*checked).checkTableBase},
	{"PfnDataBase", func(h *checked) []problem.Problem { return h.checkPointer(h.PfnDataBase) }},
	{"PsLoadedModuleList", func(h *checked) []problem.Problem { return h.checkPointer(h.PsLoadedModuleList) }},
	{"PsActiveProcessHead", func(h *checked) []problem.Problem { return h.checkPointer(h.PsActiveProcessHead) }},
	{"MachineImageType", func(h *checked) []problem.Problem {
		if h.MachineImageType == h.format.Machine {
			return nil
		}
		return wrong("is not that of "+h.format.Title, machine(h.MachineImageType), h.format.machineText(), false)
	}},
	{"NumberProcessors", func(h *checked) []problem.Problem {
		n := h.NumberProcessors
		if n > 0 && int64(n) <= int64(h.format.MaxProcessors) {
			return nil
		}
		return wrong("", problem.Hex(n), fmt.Sprintf("1 to %d", h.format.MaxProcessors), true)
	}},
	{"PaeEnabled", func(h *checked) []problem.Problem {
		if h.PaeEnabled <= 1 {
			return nil
		}
		return wrong("", fmt.Sprintf("0x%x", h.PaeEnabled), "0 or 1", true)
	}},
	{"KdDebuggerDataBlock", func(h *checked) []problem.Problem { return h.checkPointer(h.KdDebuggerDataBlock) }},
	{"NumberOfRuns", func(h *checked) []problem.Problem { return h.table }},
	{"DumpType", func(h *checked) []problem.Problem {
		if h.DumpType == DumpTypeFull {
			return nil
		}
		return wrong("is not that of a full dump", fmt.Sprintf("0x%x (%v)", uint32(h.DumpType), h.DumpType), "0x1 (full)", true)
	}},
	{"SystemTime", func(h *checked) []problem.Problem {
		if _, err := Time(h.SystemTime); err == nil {
			return nil
		}
		return wrong("is not a time", problem.Hex(h.SystemTime), "a time from 1601 to 9999 in units of 100 ns", true)
	}},
}

// wrong is one problem with the field of a rule; fault is empty where want says it.
func wrong(fault, got, want string, repairable bool) []problem.Problem {
	return []problem.Problem{{Fault: fault, Got: got, Want: want, Repairable: repairable}}
}

// checkTableBase: the register may hold more than the address of a page table.
func (h *checked) checkTableBase() []problem.Problem {
	dtb, root := h.DirectoryTableBase, h.format.TableBase(h.Header)
	if root == 0 || problem.IsFill(dtb) {
		return wrong("", problem.Hex(dtb), "the physical address of a page table", false)
	}
	var problems []problem.Problem
	if dtb != root {
		problems = wrong("has flag bits beside the address", problem.Hex(dtb), fmt.Sprintf("0x%x, the address alone", root), true)
	}
	if h.runs != nil && !inRuns(h.runs, root) {
		problems = append(problems, wrong("", problem.Hex(dtb), "an address inside one of the runs", false)...)
	}
	return problems
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
func (h *Header) checkPointer(va uint64) []problem.Problem {
	if va >= h.format.KernelStart && !problem.IsFill(va) {
		return nil
	}
	return wrong("", problem.Hex(va), "a kernel address", true)
}
