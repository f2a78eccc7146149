package identity

import (
	"windmp/convert/guest"
	"windmp/convert/report"
)

// Describe puts into a report what is known of a guest.
func Describe(r *report.Report, g *guest.Guest) {
	r.Findings = append(r.Findings, g.Findings()...)
	h := g.Header()
	if h == nil {
		return
	}
	r.Guest = &report.Guest{
		Machine:            g.Machine().Name(),
		Build:              h.MinorVersion,
		DirectoryTableBase: report.Hex(h.DirectoryTableBase),
		PsLoadedModuleList: report.Hex(h.PsLoadedModuleList), PsActiveProcessHead: report.Hex(h.PsActiveProcessHead),
		NumberProcessors: h.NumberProcessors,
		KDBG:             report.Hex(h.KdDebuggerDataBlock), KDBGSource: g.Origin().KDBG,
		Modules: len(g.Modules()),
	}
	if k := g.Kernel(); k != nil {
		r.System, r.Bug = System(g), BugCheck(g)
		r.Guest.KernelBase = report.Hex(k.Data.KernBase)
		r.Guest.KDBGSize = len(k.Raw)
		r.Guest.PagingLevels = len(g.Memory().Space.Mode.Levels)
	}
}
