package convert

import (
	"time"

	"windmp/winhdr"
)

func (r *Report) describePlan(p *Plan) {
	r.Findings = append(r.Findings, p.list...)
	r.Improvements = append(r.Improvements, p.improvements...)
	r.describeMemory(p)
	for _, e := range p.Edits {
		r.Edits = append(r.Edits, EditReport{VA: Hex(e.VA), PA: Hex(e.PA), Size: len(e.Bytes), Reason: e.Reason})
	}
	for i := range p.cpus {
		r.Processors = append(r.Processors, p.describeCPU(&p.cpus[i]))
	}
	if p.Size == 0 {
		return
	}
	h := p.Header
	if p.front == nil {
		r.Output.DumpType = h.DumpType.String()
	}
	r.Output.Size, r.Output.Runs = p.Size, len(p.memory.runs)
	r.Output.Pages = p.memory.pages()
	r.Output.LeftOut = pageCount(p.memory.runs) - p.memory.pages()
	r.Guest.Build, r.Guest.NumberProcessors = h.MinorVersion, h.NumberProcessors
	if p.Guest.BugCheck != nil {
		r.Guest.BugCheck = &BugCheckReport{Code: Hex(h.BugCheckCode), Crashed: p.Guest.crashed()}
		for i, v := range h.BugCheckParameters {
			r.Guest.BugCheck.Parameters[i] = Hex(v)
		}
	}
	r.describeTimes(p)
}

// describeTimes prints times only when they are sane: a header's may be fill.
func (r *Report) describeTimes(p *Plan) {
	if t, err := winhdr.Time(p.Header.SystemTime); err == nil {
		r.Guest.SystemTime = t.UTC().Format(time.RFC3339)
	}
	if up := p.Header.SystemUpTime; up != winhdr.Fill64 {
		r.Guest.UpTime = float64(up) / ticksPerSecond
	}
}

func (r *Report) describeMemory(p *Plan) {
	m := &MemoryReport{Policy: p.missingMode, Missing: p.memory.absent, Recovered: p.Guest.recovered}
	m.Listed = pageCount(p.Guest.Runs) * winhdr.PageSize
	switch p.missingMode {
	case MissingZero:
		m.Zeroed = p.memory.absent
	case MissingDrop:
		m.Dropped = p.memory.dropped * winhdr.PageSize
	case MissingFail:
	}
	for _, x := range p.memory.missing {
		m.Ranges = append(m.Ranges, RangeReport{PA: Hex(x.Start), Size: x.Size})
	}
	r.Memory = m
}

func (p *Plan) describeCPU(c *cpuPlan) CPUReport {
	out := CPUReport{Index: c.proc.Index, VCPU: -1, PRCB: Hex(c.proc.PRCB), Contexts: c.source, Differs: c.differs, Note: c.note, ShownFirst: c == p.shown}
	if c.proc.VCPU != nil {
		out.VCPU = c.proc.VCPU.Index
	}
	if c.context != nil {
		out.Rip, out.Rsp = Hex(c.context.IP()), Hex(c.context.SP())
	}
	return out
}
