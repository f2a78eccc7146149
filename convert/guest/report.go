package guest

import "windmp/convert/report"

func DescribeGuest(r *report.Report, g *Guest) {
	r.Findings = append(r.Findings, g.Findings()...)
	r.Improvements = append(r.Improvements, g.Improvements...)
	h := g.Header
	if h == nil {
		return
	}
	r.Guest = &report.Guest{
		Machine:            g.machine(),
		Build:              h.MinorVersion,
		DirectoryTableBase: report.Hex(h.DirectoryTableBase),
		PsLoadedModuleList: report.Hex(h.PsLoadedModuleList), PsActiveProcessHead: report.Hex(h.PsActiveProcessHead),
		NumberProcessors: h.NumberProcessors,
		KDBG:             report.Hex(h.KdDebuggerDataBlock), KDBGSource: g.KDBGSource,
		Modules: len(g.Modules),
	}
	if g.KDBG != nil {
		r.Guest.KernelBase = report.Hex(g.KDBG.Data.KernBase)
		r.Guest.KDBGSize = len(g.KDBG.Raw)
		r.Guest.PagingLevels = len(g.Space.Mode.Levels)
	}
}
