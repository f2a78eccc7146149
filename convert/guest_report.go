package convert

func (r *Report) describeGuest(g *Guest) {
	r.Findings = append(r.Findings, g.Findings()...)
	r.Improvements = append(r.Improvements, g.Improvements...)
	h := g.Header
	if h == nil {
		return
	}
	r.Guest = &GuestReport{
		Machine:            g.machine(),
		Build:              h.MinorVersion,
		DirectoryTableBase: Hex(h.DirectoryTableBase),
		PsLoadedModuleList: Hex(h.PsLoadedModuleList), PsActiveProcessHead: Hex(h.PsActiveProcessHead),
		NumberProcessors: h.NumberProcessors,
		KDBG:             Hex(h.KdDebuggerDataBlock), KDBGSource: g.KDBGSource,
		Modules: len(g.Modules),
	}
	if g.KDBG != nil {
		r.Guest.KernelBase = Hex(g.KDBG.Data.KernBase)
		r.Guest.KDBGSize = len(g.KDBG.Raw)
		r.Guest.PagingLevels = g.Space.Levels
	}
}
