package guest

import (
	"slices"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/processor"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// Guest is what was found of one source. Every command stands on it, so that what one
// promises is what another does. It never changes: what its methods return is the
// caller's own. Of a search that failed, what was reached before is there, and the rest
// is nil or empty.
type Guest struct {
	f        *finder
	complete bool
}

// Complete says whether all stages of the search succeeded: a dump can be planned.
func (g *Guest) Complete() bool { return g.complete }

// Image is the memory in which the guest was found; nil for one of a header alone, and
// of a triage dump, which holds memory by virtual address.
func (g *Guest) Image() *physmem.Image { return g.f.Image }

// Machine is the guest's machine, before it is known the likeliest.
func (g *Guest) Machine() *machine.Machine { return g.f.machine }

// Header is the guest's own dump header, repaired where that was possible, or the one
// that was built where the guest left none; nil where there is neither. It is the
// template of the output's.
func (g *Guest) Header() *winhdr.Header { return cloneOf(g.f.Header) }

// Runs is the guest's table of physical memory: ascending, disjoint, none empty.
func (g *Guest) Runs() physmem.Runs { return slices.Clone(g.f.Runs) }

// Memory is the kernel's memory, behind page tables that were verified. Its Space is
// nil where none was.
func (g *Guest) Memory() kdbg.Memory { return g.f.Memory.Clone() }

// Mode is the paging mode, the likeliest before it is known.
func (g *Guest) Mode() *vtop.Mode { return g.f.mode() }

// Kernel is what hangs off the verified, decoded debugger data block; nil where that
// was not found.
func (g *Guest) Kernel() *kdbg.Kernel { return cloneOf(g.f.Kernel) }

// Modules are the loaded images, nt first; incomplete after a finding that says so.
func (g *Guest) Modules() []kdbg.Module { return slices.Clone(g.f.Modules) }

// Processors has one entry for each processor that the dump will count.
func (g *Guest) Processors() []processor.Processor {
	list := slices.Clone(g.f.Processors)
	for i := range list {
		list[i] = list[i].Clone()
	}
	return list
}

// VCPUs are what the container recorded of each vCPU, in its order.
func (g *Guest) VCPUs() []machine.State { return g.f.states() }

// BugCheck is nil when the bug check data could not be read: then it is not known
// whether the guest crashed.
func (g *Guest) BugCheck() *kdbg.BugCheck { return copyOf(g.f.BugCheck) }

// SharedUserData is nil when that page is not readable.
func (g *Guest) SharedUserData() *kdbg.SharedUserData { return copyOf(g.f.SharedUserData) }

// Findings are the findings of the stages that ran, in order.
func (g *Guest) Findings() []finding.Finding { return slices.Clone(g.f.All) }

// Origin is how the guest was found.
func (g *Guest) Origin() Origin {
	f := g.f
	return Origin{
		KDBG: f.KDBGSource, Image: cloneOf(f.KernelImage), Dump: f.isDump(),
		Original: cloneOf(f.original), Reasons: slices.Clone(f.reasons), Flag: f.Flag, Recovered: f.Recovered,
	}
}

// Origin says how a guest was found.
type Origin struct {
	// KDBG says what led to the debugger data block.
	KDBG report.KDBGSource
	// Image is what the kernel's image says of itself, as far as its pages are
	// readable; nil when its headers are not.
	Image *peimage.Image
	// Dump says that the source is a Windows dump, whose header is the file's own and
	// not the guest's note.
	Dump bool
	// Original is the header as the guest left it, nil where it left none; Reasons are
	// why [Guest.Header] states some fields otherwise.
	Original *winhdr.Header
	Reasons  []report.Reason
	// Flag is the address of KdpDataBlockEncoded where it has to be cleared, else 0.
	Flag vtop.VA
	// Recovered is how many bytes of memory were placed that the container does not
	// place.
	Recovered uint64
}

// Crashed tells whether the guest is known to have stopped with a bug check.
func Crashed(g *Guest) bool { return g.f.crashed() }

// InModule tells whether an address lies in a module of [Guest.Modules].
func InModule(g *Guest, va vtop.VA) bool { return kdbg.ModuleAt(g.f.Modules, va) >= 0 }

// KernelRuns is the kernel's own table of memory, *MmPhysicalMemoryBlock, of a guest
// whose Kernel is known. The error says why it can't be used: an error of
// [kdbg.Kernel.PhysicalMemory], or what speaks against it.
func KernelRuns(g *Guest) (physmem.Runs, error) { return g.f.kernelRuns() }

// UnloadedDrivers are the drivers that are no longer loaded, the oldest first: those of
// [kdbg.Kernel.UnloadedDrivers], with its errors, or of a triage dump those that it
// lists.
func UnloadedDrivers(g *Guest) ([]kdbg.UnloadedDriver, error) {
	if g.f.Image == nil || g.f.Kernel == nil {
		return slices.Clone(g.f.unloaded), nil
	}
	return g.f.Kernel.UnloadedDrivers()
}

// Behind is the guest as far as its header alone leads, for one whose KDBG was not
// found: page tables, KUSER_SHARED_DATA and modules. Nothing of it was verified.
func Behind(g *Guest) *Guest { return &Guest{f: g.f.behind()} }

// cloneOf is a copy of what p points to, nil for nothing.
func cloneOf[T any, P interface {
	*T
	Clone() *T
}](p P) *T {
	if p == nil {
		return nil
	}
	return p.Clone()
}

// copyOf is cloneOf for what holds no pointers.
func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
