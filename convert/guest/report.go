package guest

import "windmp/convert/report"

// Describe puts into a report what is known of a guest.
func Describe(r *report.Report, guest *Guest) {
	g := guest.f
	r.Findings = append(r.Findings, g.All...)
	h := g.Header
	if h == nil {
		return
	}
	r.Guest = &report.Guest{
		Machine:            g.machine.Name(),
		Build:              h.MinorVersion,
		DirectoryTableBase: report.Hex(h.DirectoryTableBase),
		PsLoadedModuleList: report.Hex(h.PsLoadedModuleList), PsActiveProcessHead: report.Hex(h.PsActiveProcessHead),
		NumberProcessors: h.NumberProcessors,
		KDBG:             report.Hex(h.KdDebuggerDataBlock), KDBGSource: g.KDBGSource,
		Modules: len(g.Modules),
	}
	if g.Kernel != nil {
		r.System, r.Bug = SystemOf(guest), BugCheckOf(guest)
		r.Guest.KernelBase = report.Hex(g.Kernel.Data.KernBase)
		r.Guest.KDBGSize = len(g.Kernel.Raw)
		r.Guest.PagingLevels = len(g.Memory.Space.Mode.Levels)
	}
}
