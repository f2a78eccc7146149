package plan

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/convert/stack"
	"windmp/vtop"
	"windmp/winhdr"
)

// showFirst picks the processor that WinDbg shall show first, and says why.
func (p *Plan) showFirst() {
	i, f := Shown(p.guest, p.cpus)
	if i >= 0 {
		p.shown = &p.cpus[i]
	}
	if f != nil {
		p.found.Add(*f)
	}
}

// Shown is the processor, of those that [Contexts] gave, that debuggers shall show
// first: the one that crashed, else the first of which the registers say most; -1 where
// none has any. The finding says of a crashed guest's why, else it is nil.
func Shown(g *guest.Guest, cpus []CPU) (int, *finding.Finding) {
	most, shown := 0, -1
	for i := range cpus {
		if n := worthShowing(&cpus[i]); n > most {
			most, shown = n, i
		}
	}
	if shown < 0 || !guest.Crashed(g) {
		return shown, nil
	}
	var f finding.Finding
	switch by := stack.RaisedBy(g); {
	case len(by.Alike) > 1:
		shown = by.Alike[0]
		f = finding.ShownFirst.At("", "%d processors stopped as if each had raised the bug check; processor %d is shown first", len(by.Alike), cpus[shown].Index)
	case by.Index < 0:
		f = finding.ShownFirst.At("", "which processor raised the bug check is not known; processor %d is shown first", cpus[shown].Index)
	default:
		shown = by.Index
		f = finding.ShownFirst.At("", "processor %d raised the bug check and is shown first%s", cpus[shown].Index, by.How)
	}
	return shown, &f
}

// worthShowing ranks a processor: 0 for one without registers. What memory holds of a
// processor that no vCPU runs may never have been written.
func worthShowing(c *CPU) int {
	switch {
	case c.Context == nil:
		return 0
	case c.Context.PlausibleSaved() != nil:
		return 1
	case c.Source == report.FromForeign:
		return 2
	default:
		return 3
	}
}

// exceptionNoncontinuable is EXCEPTION_NONCONTINUABLE, the flag that the
// headers of real bug check dumps carry (observed in builds 9600 to 26100).
const exceptionNoncontinuable = 1

// patchShown writes the header's CONTEXT and exception record. The engine takes
// the processor whose CONTEXT has this Rsp for the current one; readers refuse
// a header CONTEXT whose two MxCsr differ, as those of real contexts do.
func (p *Plan) patchShown() error {
	if p.shown == nil || p.finished() && p.headerShows() {
		return nil
	}
	ctx := p.shown.Context.ForHeader()
	if err := p.header.Show(ctx, p.exceptionFlags()); err != nil {
		return err
	}
	who := fmt.Sprintf("processor %d", p.shown.Index)
	const was = "the guest driver's"
	p.reasons = append(p.reasons,
		report.Reason{Field: "ContextRecord", Why: "WinDbg shows the processor with this CONTEXT first", From: was, To: who},
		report.Reason{Field: "Exception", Why: "an unset exception record is shown as an unknown exception", From: was, To: fmt.Sprintf("%#x at %s", winhdr.StatusBreakpoint, vtop.VA(ctx.IP()))})
	return nil
}

// exceptionFlags are those of the header's exception record.
func (p *Plan) exceptionFlags() uint32 {
	if guest.Crashed(p.guest) {
		return exceptionNoncontinuable
	}
	return 0
}

// headerShows tells whether the header's CONTEXT already names a processor, as
// the engine looks for it: by the stack pointer.
func (p *Plan) headerShows() bool {
	h := p.guest.Header().Context()
	if h.Plausible() != nil {
		return false
	}
	for _, c := range p.cpus {
		if c.Context != nil && c.Context.SP() == h.SP() {
			return true
		}
	}
	return false
}
