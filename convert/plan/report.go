package plan

import (
	"slices"
	"time"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/report"
	"windmp/physmem"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
)

// Describe puts into a report what was planned, and the guest where it has none yet.
func Describe(r *report.Report, p *Plan) {
	if r.Guest == nil {
		identity.Describe(r, p.guest)
	}
	r.Findings = append(slices.DeleteFunc(r.Findings, p.beside), p.found.All...)
	r.Improvements = append(r.Improvements, p.Improvements()...)
	describeMemory(r, p)
	for _, e := range p.edits {
		r.Edits = append(r.Edits, report.Edit{VA: report.Hex(e.VA), PA: report.Hex(e.PA), Size: len(e.Bytes), Reason: e.Reason})
	}
	for i := range p.cpus {
		r.Processors = append(r.Processors, p.describeCPU(&p.cpus[i]))
	}
	if p.Size() != 0 {
		describeOutput(r, p)
	}
}

// beside tells whether a finding of the guest says nothing of what is planned: a small
// dump has memory by virtual address, for which debuggers walk no page tables.
func (p *Plan) beside(f finding.Finding) bool {
	return p.memory.kind == winhdr.DumpTypeTriage && (f.ID == finding.FiveLevels.ID() || f.ID == finding.SplitTables.ID())
}

// describeOutput is about the dump as it will be.
func describeOutput(r *report.Report, p *Plan) {
	h := p.header
	if t := p.triage; t != nil {
		r.Output.Triage = t.Clone()
	}
	if p.memory.kind != 0 { // a dump, not a core
		r.Output.DumpType = h.DumpType.String()
	}
	r.Output.Size = p.Size()
	if p.triage == nil { // which has no pages
		r.Output.Runs, r.Output.Pages = len(p.memory.table()), p.memory.pages()
		r.Output.LeftOut = p.memory.table().Pages() - p.memory.pages()
	}
	r.Guest.Build, r.Guest.NumberProcessors = h.MinorVersion, h.NumberProcessors
	if bc := p.guest.BugCheck(); bc != nil {
		code := h.BugCheckCode
		if bc.Code != 0 {
			code = bc.Code // without what a small dump adds to it
		}
		r.Guest.BugCheck = &report.BugCheck{Code: report.Hex(bugcheck.Word(code, h.BugCheckCodePad)), Crashed: guest.Crashed(p.guest)}
		for i, v := range h.BugCheckParameters {
			r.Guest.BugCheck.Parameters[i] = report.Hex(v)
		}
	}
	describeTimes(r, p)
}

// describeTimes prints times only when they are sane: a header's may be fill.
func describeTimes(r *report.Report, p *Plan) {
	if t, err := winhdr.Time(p.header.SystemTime); err == nil {
		r.Guest.SystemTime = t.UTC().Format(time.RFC3339)
	}
	if up := p.header.SystemUpTime; up != problem.Fill64 {
		r.Guest.UpTime = float64(up) / winhdr.TicksPerSecond
	}
}

func describeMemory(r *report.Report, p *Plan) {
	m := &report.Memory{Policy: p.memory.policy, Missing: p.memory.absent, Recovered: p.guest.Origin().Recovered}
	m.Listed = p.guest.Runs().Pages() * physmem.PageSize
	switch p.memory.policy {
	case report.MissingZero:
		m.Zeroed = p.memory.absent
	case report.MissingDrop:
		m.Dropped = p.memory.dropped * physmem.PageSize
	case report.MissingFail:
	}
	for _, x := range p.memory.missing {
		m.Ranges = append(m.Ranges, report.Range{PA: report.Hex(x.Start), Size: x.Size})
	}
	r.Memory = m
}

func (p *Plan) describeCPU(c *CPU) report.CPU {
	out := report.CPU{Index: c.Index, VCPU: c.VCPU, PRCB: report.Hex(c.PRCB), Contexts: c.Source, Differs: c.Differs, Note: c.Note, ShownFirst: c == p.shown}
	if c.Context != nil {
		out.IP, out.SP = report.Hex(c.Context.IP()), report.Hex(c.Context.SP())
	}
	return out
}
