package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/identity"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/convert/triage"
	"windmp/winhdr"
)

// planTriage plans a small dump: the guest as any other dump shows it, of which a
// budget takes pieces.
func (p *Plan) planTriage(ctx context.Context, opt Options) error {
	if p.header.Format().Triage == nil {
		return &stage.UsageError{Reason: fmt.Sprintf("no triage dump is known of a guest of machine %s", p.guest.Machine().Name())}
	}
	p.memory = memoryPlan{kind: winhdr.DumpTypeTriage, runs: p.guest.Runs(), policy: opt.missing()}
	p.header.DumpType = p.memory.kind
	if err := p.decide(opt); err != nil {
		return err
	}
	shown := p.shownInHeader()
	if shown == nil {
		return p.found.Refuse(finding.TriagePart.At("", "no processor has readable registers: debuggers show nothing in a small dump without"), nil)
	}
	crashed := p.crash()
	subject := triage.Subject{
		Guest: p.guest, Memory: p.Memory(), Header: p.header,
		Shown: ofTriage(shown), Flags: p.exceptionFlags(), Stack: crashed.stack,
	}
	for i := range p.cpus {
		if c := &p.cpus[i]; c != shown {
			subject.Others = append(subject.Others, ofTriage(c))
		}
	}
	inside := func(t *report.Triage, found []finding.Finding, size int64) []byte {
		return p.inside(crashed, t, found, size)
	}
	small, err := triage.New(ctx, subject, triage.Options{Size: opt.Size, KeepProcesses: opt.KeepProcesses, Report: inside})
	p.found.All = append(p.found.All, small.All...)
	if err != nil {
		return err
	}
	p.header, p.triage = small.Header, small.Report
	p.layout = dump.NewTriage(small.Pieces)
	return nil
}

func ofTriage(c *CPU) triage.Shown {
	return triage.Shown{Processor: c.Processor, Context: c.Context, Root: c.Root}
}

// shownInHeader is the processor that the header shows, as debuggers find it: by the
// stack pointer. The registers of a small dump are the header's, those of others
// memory's.
func (p *Plan) shownInHeader() *CPU {
	sp := p.header.Context().SP()
	i := slices.IndexFunc(p.cpus, func(c CPU) bool { return c.Context != nil && c.Context.SP() == sp })
	if i < 0 || p.shown != nil && p.shown.Context.SP() == sp {
		return p.shown
	}
	return &p.cpus[i]
}

// inside is the report that travels in a small dump of so many bytes: what the plan
// knows, without the names of files on the host.
func (p *Plan) inside(crashed crash, t *report.Triage, found []finding.Finding, size int64) []byte {
	r := report.New("", "", false)
	r.DescribeImage(p.guest.Image())
	r.Input.MemoryFile = ""
	identity.Describe(r, p.guest)
	p.triage = t
	Describe(r, p)
	r.Findings = append(r.Findings, found...)
	describeOutput(r, p)
	r.Output.Size = size
	r.Finish(nil)
	r.Guest.Signature = crashed.signature()
	b, _ := json.Marshal(report.Inside{Schema: report.InsideSchema, Report: r, Stack: crashed.report()}) // all of it can be written
	return b
}
